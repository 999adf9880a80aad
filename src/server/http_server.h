// The server: it listens, accepts, and spreads connections over its I/O threads.
//
// Stop is graceful: no new connections, requests in flight are answered, tail sockets are told to
// go once what they sent is acknowledged; after stop_ms_max what is left is closed. Ingest and the
// journal must still be alive then: stop the server first.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "core/result.h"
#include "server/options.h"
#include "server/services.h"

namespace varve::server {

class HttpServer {
 public:
  // Listens and serves from this call on. kInvalid: the keys or the address; kInternal: the port.
  static Result<std::unique_ptr<HttpServer>> Start(ServerOptions options, Services services);
  ~HttpServer();  // stops
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  uint16_t port() const;
  void Stop();  // returns when the last thread has ended; again: does nothing

 private:
  struct Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace varve::server
