"""The description of the API: docs/openapi.json and, from it, docs/api.md.

`python3 -m docs.openapi` (`make api`) writes both; change what is here, not them. The limits, the
errors and the version are read from the server's headers, so that there is one of each.
"""
