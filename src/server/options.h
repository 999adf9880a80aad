// What the server may be told. Every limit has its default here; app fills in the rest.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace varve::server {

enum Scope : uint8_t { kScopeIngest = 1, kScopeQuery = 2, kScopeAdmin = 4, kScopeAll = 7 };

struct ApiKey {
  std::string name = {};        // in logs and metrics instead of the key
  std::string key = {};         // plain (from the environment or a file), or empty
  std::string sha256_hex = {};  // of the key; what configuration files hold
  uint8_t scopes = 0;           // Scope bits; kScopeAdmin includes the others
  std::string ns = {};          // empty: the default namespace. Else the key is ns_<ns>_<token>.
};

struct Limits {
  uint32_t connections_max = 1024;
  uint32_t websockets_max = 128;  // of the connections
  uint32_t head_bytes_max = 16 * 1024;
  uint32_t uri_bytes_max = 8 * 1024;
  uint32_t header_fields_max = 100;
  uint64_t ingest_body_bytes_max = 1 << 20;  // as sent, and decompressed
  uint64_t tail_body_bytes_max = 4 << 20;    // also a WebSocket message
  uint64_t query_body_bytes_max = 128 << 10;
  uint64_t queue_body_bytes_max = 14 << 20;  // 100 messages of 128 kB
  uint64_t iceberg_body_bytes_max = 4 << 20;
  uint64_t bodies_bytes_max = 128 << 20;         // of all requests being served, decompressed too
  uint32_t decompress_ratio_max = 1000;          // above the first MiB of output
  uint32_t head_ms_max = 10'000;                 // a request's first byte to its head's last
  uint32_t body_idle_ms_max = 10'000;            // between two reads of a body
  uint32_t body_ms_max = 120'000;                // a body's first byte to its last
  uint32_t idle_ms_max = 75'000;                 // between two requests
  uint32_t write_idle_ms_max = 30'000;           // between two writes that move
  uint32_t stream_buffer_bytes_max = 256 << 10;  // of one streamed answer, not yet sent
  uint32_t live_buffer_bytes_max = 1 << 20;      // of one live subscriber, not yet sent
  uint32_t live_subscribers_max = 64;
  uint32_t live_ping_ms = 15'000;
  uint32_t tail_in_flight_max = 64;     // messages of one socket, not yet acknowledged
  uint32_t websocket_idle_ms = 60'000;  // pinged at half of it
  uint32_t query_workers = 8;
  uint32_t query_backlog_max = 32;
  uint32_t blocking_workers = 4;  // queue and store calls
  uint32_t blocking_backlog_max = 512;
  uint32_t stop_ms_max = 10'000;  // a graceful stop becomes a hard one
};

struct RateLimits {
  bool enabled = true;  // without keys none applies
  uint32_t requests_per_minute = 1'000;
  uint32_t events_per_minute = 100'000;
  uint32_t webhooks_per_minute = 10'000;
  uint32_t keys_max = 10'000;  // senders remembered; the longest silent ones are forgotten
};

struct ServerOptions {
  std::string address = "127.0.0.1";
  uint16_t port = 8080;  // 0: any free one
  uint32_t io_threads = 2;
  std::vector<ApiKey> keys;               // none: loopback only, with every scope
  std::vector<std::string> cors_origins;  // that may read protected answers from a browser
  bool metrics_public = false;
  std::string environment = "production";  // what /health calls this instance
  Limits limits;
  RateLimits rate_limits;
};

}  // namespace varve::server
