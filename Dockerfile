# The index in an image of its own, with nothing else in it:
#
#   docker build -t signpost .
#   docker run -p 7117:7117 -v signpost:/data -e SIGNPOST_OPEN=1 signpost
#
# With --target client: the command `signpost` and the example `master`. With --target turn: coturn, a
# TURN server, for compose.yaml. See docs/operating.md.

FROM debian:bookworm-slim AS build
WORKDIR /src
COPY tests/setup tests/packages tests/
RUN tests/setup build
COPY . .
RUN make -j"$(nproc)" all examples

# What the index needs at run time: itself and the libraries that it is linked with. Whoever runs it,
# under whatever number, writes to /data.
RUN strip -o /usr/bin/signpostd build/signpostd \
    && mkdir -m 1777 -p /image/data \
    && cp --parents -L -t /image $(ldd /usr/bin/signpostd | grep -o '/[^ ]*') \
    && install -D -t /image /usr/bin/signpostd \
    && install -D -m 644 -t /image/licenses/signpost LICENSE

FROM debian:bookworm-slim AS client
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates libcurl3-gnutls libjansson4 \
        libminiupnpc17 libnatpmp1 libuv1 \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /src/build/signpost /src/build/examples/master /usr/bin/
RUN install -d -o 65532 -g 65532 -m 700 /secrets
USER 65532:65532
CMD ["signpost", "help"]

FROM debian:bookworm-slim AS turn
RUN apt-get update \
    && apt-get install -y --no-install-recommends coturn \
    && rm -rf /var/lib/apt/lists/*
USER 65532:65532
CMD ["turnserver", "--help"]

FROM scratch
LABEL org.opencontainers.image.title="signpostd" \
    org.opencontainers.image.description="A small rendezvous index for nodes behind NATs" \
    org.opencontainers.image.version="0.1.0" \
    org.opencontainers.image.licenses="MIT"
COPY --from=build /image/ /
# On all addresses: then it wants SIGNPOST_KEYS=FILE, or SIGNPOST_OPEN=1 to let anyone in.
ENV SIGNPOST_LISTEN=0.0.0.0:7117 SIGNPOST_DB=/data/signpost.db
USER 65532:65532
VOLUME /data
EXPOSE 7117/tcp 3478/udp 3479/udp
# Six in a row: a disk that is away for a moment is no reason to end it.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=6 \
    CMD ["/signpostd", "--healthcheck"]
ENTRYPOINT ["/signpostd"]
