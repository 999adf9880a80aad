#include "server/client.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <charconv>

namespace varve::server {

Client::Client(uint16_t port) {
  fd_ = ::socket(AF_INET, SOCK_STREAM, 0);
  const timeval limit{20, 0};
  ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  ::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  const int on = 1;
  ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
}

Client::~Client() { Close(); }

void Client::Close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

void Client::HalfClose() { ::shutdown(fd_, SHUT_WR); }

bool Client::SendSome(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

void Client::Send(std::string_view bytes) { EXPECT_TRUE(SendSome(bytes)); }

bool Client::Fill() {
  char block[65536];
  const ssize_t got = ::recv(fd_, block, sizeof block, 0);
  if (got <= 0) {
    EXPECT_TRUE(got == 0 || errno == ECONNRESET) << "nothing came for 20 s";
    return false;
  }
  buffer_.append(block, static_cast<size_t>(got));
  return true;
}

std::string Client::Take(size_t bytes) {
  while (buffer_.size() < bytes) {
    if (!Fill()) break;
  }
  std::string out = buffer_.substr(0, bytes);
  buffer_.erase(0, out.size());
  return out;
}

std::string Client::Line() {
  size_t end;
  while ((end = buffer_.find('\n')) == std::string::npos) {
    if (!Fill()) return Take(buffer_.size());
  }
  std::string line = Take(end + 1);
  line.pop_back();
  return line;
}

std::string Client::ReceiveAll() {
  while (Fill()) {
  }
  return Take(buffer_.size());
}

bool Client::Ended() { return buffer_.empty() && !Fill(); }

std::string Client::TakeChunked(Reply* reply) {
  std::string body;
  while (true) {
    const std::string size_line = Line();
    uint64_t size = 0;
    const auto [at, error] =
        std::from_chars(size_line.data(), size_line.data() + size_line.size(), size, 16);
    if (error != std::errc()) return body;  // cut off
    if (size == 0) break;
    const std::string piece = Take(size + 2);
    if (piece.size() < size + 2) return body + piece;
    body += piece.substr(0, size);
  }
  for (std::string line = Line(); line != "\r" && !line.empty(); line = Line()) {
    const size_t colon = line.find(": ");
    std::string name = line.substr(0, colon);
    for (char& c : name) c = static_cast<char>(tolower(c));
    reply->headers[name] = line.substr(colon + 2, line.size() - colon - 3);
  }
  reply->complete = true;
  return body;
}

Reply Client::Receive(bool head) {
  Reply reply;
  const std::string status_line = Line();
  if (!status_line.starts_with("HTTP/1.")) return reply;
  reply.status = std::stoi(status_line.substr(9, 3));
  for (std::string line = Line(); line != "\r"; line = Line()) {
    if (line.empty()) return reply;
    const size_t colon = line.find(": ");
    std::string name = line.substr(0, colon);
    for (char& c : name) c = static_cast<char>(tolower(c));
    reply.headers[name] = line.substr(colon + 2, line.size() - colon - 3);
  }
  if (reply.status == 100) return reply;
  if (head || reply.status == 204) {
    reply.complete = true;
  } else if (reply.headers.contains("transfer-encoding")) {
    reply.body = TakeChunked(&reply);
  } else if (reply.headers.contains("content-length")) {
    const size_t size = std::stoull(reply.headers["content-length"]);
    reply.body = Take(size);
    reply.complete = reply.body.size() == size;
  } else {
    reply.body = ReceiveAll();
    reply.complete = true;
  }
  return reply;
}

std::string BuildRequest(std::string_view method, std::string_view target, std::string_view body,
                         const std::vector<std::string>& headers) {
  std::string out = std::string(method) + " " + std::string(target) + " HTTP/1.1\r\n";
  bool host = false;
  for (const std::string& header : headers) {
    out += header + "\r\n";
    host = host || header.starts_with("Host:");
  }
  if (!host) out += "Host: 127.0.0.1\r\n";
  if (!body.empty() || method == "POST") {
    out += "Content-Length: " + std::to_string(body.size()) + "\r\n";
  }
  return out + "\r\n" + std::string(body);
}

Reply Client::Request(std::string_view method, std::string_view target, std::string_view body,
                      const std::vector<std::string>& headers) {
  SendSome(BuildRequest(method, target, body, headers));
  return Receive(method == "HEAD");
}

bool Client::Upgrade(std::string_view target, const std::vector<std::string>& headers) {
  std::vector<std::string> all = headers;
  all.insert(all.end(), {"Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
                         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="});
  Send(BuildRequest("GET", target, "", all));
  const std::string status_line = Line();
  for (std::string line = Line(); line != "\r" && !line.empty(); line = Line()) {
  }
  return status_line.find(" 101 ") != std::string::npos;
}

void Client::SendText(std::string_view text) {
  std::string frame = "\x81";
  const size_t size = text.size();
  if (size < 126) {
    frame += static_cast<char>(0x80 | size);
  } else if (size < 65536) {
    frame += '\xfe';
    for (int shift = 8; shift >= 0; shift -= 8) frame += static_cast<char>(size >> shift);
  } else {
    frame += '\xff';
    for (int shift = 56; shift >= 0; shift -= 8) frame += static_cast<char>(size >> shift);
  }
  SendSome(frame + std::string(4, '\0') + std::string(text));  // masked with zeros
}

std::string Client::ReceiveText() {
  while (true) {
    const std::string head = Take(2);
    if (head.size() < 2) return "";
    size_t size = static_cast<uint8_t>(head[1]) & 127;
    const int extra = size == 126 ? 2 : size == 127 ? 8 : 0;
    if (extra > 0) size = 0;
    for (char c : Take(extra)) size = size << 8 | static_cast<uint8_t>(c);
    const std::string payload = Take(size);
    const int opcode = head[0] & 15;
    if (opcode == 1) return payload;
    if (opcode == 8) {
      if (payload.size() >= 2) {
        close_code = static_cast<uint16_t>(static_cast<uint8_t>(payload[0]) << 8 |
                                           static_cast<uint8_t>(payload[1]));
      }
      SendSome(std::string("\x88\x82\0\0\0\0", 6) + payload.substr(0, 2));
      return "";
    }
    if (opcode == 9) {
      SendSome(std::string("\x8a") + static_cast<char>(0x80 | size) + std::string(4, '\0') +
               payload);
    }
  }
}

}  // namespace varve::server
