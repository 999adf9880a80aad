// WebSockets, over Beast: the tail (batches in, acknowledgements out) and the live feed. The
// connection has already been admitted like any other request. Private to the server.
#pragma once

#include <string>
#include <string_view>

#include "server/exchange.h"
#include "server/io_thread.h"
#include "server/server_state.h"

namespace varve::server {

// Answers the handshake in `head` (the request's bytes) and serves the socket until its end.
Task<void> ServeWebSocket(ServerState& state, IoThread& io, Socket socket, std::string head,
                          const Exchange& exchange, WebSocketKind kind);

}  // namespace varve::server
