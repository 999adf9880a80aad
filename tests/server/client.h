// A raw HTTP/1.1 and WebSocket client for tests: it sends exactly the bytes it is given.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace varve::server {

struct Reply {
  int status = 0;                              // 0: the connection ended first
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
  bool complete = false;
};

class Client {
 public:
  explicit Client(uint16_t port);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  void Send(std::string_view bytes);
  bool SendSome(std::string_view bytes);  // false: the peer does not take it
  void HalfClose();
  void Close();
  // head: the request was HEAD, there is no body.
  Reply Receive(bool head = false);
  std::string ReceiveAll();  // to the connection's end
  bool Ended();              // waits for the end; false: bytes came instead
  std::string Line();        // up to and without '\n'

  // Builds and sends a request, Host and Content-Length included; receives its reply.
  Reply Request(std::string_view method, std::string_view target, std::string_view body = {},
                const std::vector<std::string>& headers = {});

  // WebSocket: false when the handshake is refused.
  bool Upgrade(std::string_view target, const std::vector<std::string>& headers = {});
  void SendText(std::string_view text);
  std::string ReceiveText();  // "" when the peer closed; the close code is in close_code
  uint16_t close_code = 0;

 private:
  bool Fill();
  std::string Take(size_t bytes);
  std::string TakeChunked(Reply* reply);
  int fd_ = -1;
  std::string buffer_;
};

std::string BuildRequest(std::string_view method, std::string_view target, std::string_view body,
                         const std::vector<std::string>& headers);

}  // namespace varve::server
