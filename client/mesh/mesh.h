/* The mesh of a client: mesh_core.h decides, this brings it what happens and does what it says. */
#ifndef SIGNPOST_CLIENT_MESH_H
#define SIGNPOST_CLIENT_MESH_H

#include "client.h"

void mesh_peer(
    struct signpost_mesh *mesh, signpost_peer_event_t event, const signpost_peer_t *peer);
bool mesh_accepts(struct signpost_mesh *mesh, const char *peer); /* that peer knocks */
void mesh_missed(struct signpost_mesh *mesh, const char *peer);  /* its knock came to nothing */
void mesh_called(struct signpost_mesh *mesh, const signpost_connection_t *connection);
void mesh_addresses_changed(struct signpost_mesh *mesh);
void mesh_stop(struct signpost_mesh *mesh);  /* nothing more comes of it */
void mesh_close(struct signpost_mesh *mesh); /* frees it once its timer is closed */

#endif
