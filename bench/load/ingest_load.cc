// Load for POST /ingest that takes little of the processor it shares with the server: one thread,
// epoll, bodies built once, only the digits of their times (and with --ids 1 of an id for each
// event, of 26 characters, never the same) written anew for each request.
//
// Without --rate each connection sends its next request when the last is answered (closed loop).
// With --rate requests are due at fixed moments and a latency counts from the moment a request was
// due, so that a server that stalls is charged for the requests it held up.
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

namespace {

struct Options {
  std::string host = "127.0.0.1", port = "8080", path = "/ingest", input, key;
  int connections = 8;
  int events_per_body = 100;
  double seconds = 20;
  bool ids = false;
  double rate = 0;  // requests a second, all connections together; 0: as fast as answers come
};

[[noreturn]] void Die(const std::string& why) {
  std::fprintf(stderr, "ingest_load: %s\n", why.c_str());
  std::exit(1);
}

double NumberOf(const std::string& name, const std::string& text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) Die(name + " takes a number");
  return value;
}

void SetUrl(std::string url, Options* options) {
  if (url.starts_with("http://")) url.erase(0, 7);
  if (const size_t slash = url.find('/'); slash != std::string::npos) {
    if (slash + 1 < url.size()) options->path = url.substr(slash);
    url.erase(slash);
  }
  const size_t colon = url.rfind(':');
  if (colon == std::string::npos) Die("--url is host:port");
  options->host = url.substr(0, colon);
  options->port = url.substr(colon + 1);
}

Options Parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; i += 2) {
    const std::string name = argv[i];
    if (i + 1 == argc) Die(name + " takes a value");
    const std::string value = argv[i + 1];
    if (name == "--url")
      SetUrl(value, &options);
    else if (name == "--connections")
      options.connections = static_cast<int>(NumberOf(name, value));
    else if (name == "--seconds")
      options.seconds = NumberOf(name, value);
    else if (name == "--rate")
      options.rate = NumberOf(name, value);
    else if (name == "--events-per-body")
      options.events_per_body = static_cast<int>(NumberOf(name, value));
    else if (name == "--ids")
      options.ids = NumberOf(name, value) != 0;
    else if (name == "--input")
      options.input = value;
    else if (name == "--key")
      options.key = value;
    else
      Die("unknown option " + name);
  }
  if (options.input.empty()) Die("--input FILE is needed: events, one a line");
  if (options.connections < 1 || options.events_per_body < 1) Die("at least 1 of each");
  return options;
}

int64_t NowNs() {
  return std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1);
}
int64_t WallMs() {
  return std::chrono::system_clock::now().time_since_epoch() / std::chrono::milliseconds(1);
}

// A request whole, and where the times and ids of its events stand in it.
struct Request {
  struct Time {
    uint32_t offset;
    uint32_t lag_ms;  // how far this event lies behind the newest of its body
  };
  std::string bytes;
  std::vector<Time> times;
  std::vector<uint32_t> ids;  // offsets of their last 13 digits

  void SetTimes(int64_t now_ms) {
    for (const Time& time : times) {
      std::to_chars(bytes.data() + time.offset, bytes.data() + time.offset + 13,
                    now_ms - time.lag_ms);
    }
  }
  void SetIds(uint64_t* next) {
    for (const uint32_t id : ids) {
      std::to_chars(bytes.data() + id, bytes.data() + id + 13, 1'000'000'000'000 + (*next)++);
    }
  }
};

constexpr std::string_view kTime = "\"ts\":";

Request BuildRequest(const Options& options, const std::vector<std::string>& lines, size_t first) {
  Request request;
  std::string body = "{\"events\":[";
  std::vector<int64_t> times;
  for (int i = 0; i < options.events_per_body; ++i) {
    const std::string& line = lines[(first + i) % lines.size()];
    const size_t at = line.find(kTime) + kTime.size();
    int64_t ms = 0;
    std::from_chars(line.data() + at, line.data() + line.size(), ms);
    if (ms < 1'000'000'000'000 || ms > 9'999'999'999'999) Die("an event without a ts in ms");
    if (i > 0) body += ',';
    size_t from = 0;
    if (options.ids) {
      body += "{\"id\":\"" + std::to_string(WallMs());
      request.ids.push_back(static_cast<uint32_t>(body.size()));
      body += "0000000000000\",";
      from = 1;  // the line's own {
    }
    request.times.push_back({static_cast<uint32_t>(body.size() + at - from), 0});
    times.push_back(ms);
    body.append(line, from);
  }
  body += "]}";
  const int64_t newest = *std::max_element(times.begin(), times.end());
  for (size_t i = 0; i < times.size(); ++i) {
    request.times[i].lag_ms = static_cast<uint32_t>((newest - times[i]) % 1000);
  }
  request.bytes = "POST " + options.path + " HTTP/1.1\r\nHost: " + options.host + ":" +
                  options.port + "\r\nContent-Type: application/json\r\n";
  if (!options.key.empty()) request.bytes += "Authorization: Bearer " + options.key + "\r\n";
  request.bytes += "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n";
  for (Request::Time& time : request.times) {
    time.offset += static_cast<uint32_t>(request.bytes.size());
  }
  for (uint32_t& id : request.ids) id += static_cast<uint32_t>(request.bytes.size());
  request.bytes += body;
  return request;
}

std::vector<std::string> ReadLines(const std::string& path) {
  std::ifstream in(path);
  if (!in) Die("cannot read " + path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) {
    if (line.find(kTime) != std::string::npos) lines.push_back(std::move(line));
  }
  if (lines.empty()) Die(path + " has no events");
  return lines;
}

int Connect(const Options& options) {
  addrinfo hints{}, *found = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  if (getaddrinfo(options.host.c_str(), options.port.c_str(), &hints, &found) != 0) {
    Die("no such host: " + options.host);
  }
  const int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connect(fd, found->ai_addr, found->ai_addrlen) != 0) {
    Die("connect to " + options.host + ":" + options.port + ": " + std::strerror(errno));
  }
  freeaddrinfo(found);
  const int on = 1, buffer_bytes = 1 << 20;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer_bytes, sizeof buffer_bytes);
  return fd;
}

struct Connection {
  int fd = -1;
  std::vector<Request> requests;  // its own: a body is written anew while others are on their way
  size_t next = 0;
  size_t unsent = 0;     // bytes of the current request; more follow when the socket has room
  bool waiting = false;  // for an answer
  int64_t from_ns = 0;   // when the current request was due
  int64_t due_ns = 0;    // when the next one is
  std::string answer;
};

class Load {
 public:
  explicit Load(const Options& options) : options_(options) {
    const std::vector<std::string> lines = ReadLines(options.input);
    const size_t bodies =
        std::max<size_t>(options.connections,
                         (lines.size() + options.events_per_body - 1) / options.events_per_body);
    connections_.resize(options.connections);
    for (size_t i = 0; i < bodies; ++i) {
      connections_[i % connections_.size()].requests.push_back(
          BuildRequest(options, lines, i * options.events_per_body));
    }
    for (Connection& connection : connections_) connection.fd = Connect(options);
    latencies_us_.reserve(1 << 22);
  }

  void Run();
  void Print() const;

 private:
  void SendNext(Connection& connection);
  void SendMore(Connection& connection);
  void ReceiveSome(Connection& connection);
  void Answered(Connection& connection, int status);
  void StartDue(int64_t now_ns);
  int64_t NextDueNs() const;
  void Watch(Connection& connection, bool writable);

  const Options options_;
  std::vector<Connection> connections_;
  std::vector<uint32_t> latencies_us_;
  uint64_t next_id_ = 0;
  uint64_t errors_ = 0, throttled_ = 0, bytes_ = 0, in_flight_ = 0;
  int epoll_ = -1;
  int64_t start_ns_ = 0, stop_ns_ = 0, end_ns_ = 0, period_ns_ = 0;
};

void Load::Watch(Connection& connection, bool writable) {
  epoll_event event{};
  event.events = EPOLLIN | (writable ? EPOLLOUT : 0u);
  event.data.ptr = &connection;
  epoll_ctl(epoll_, EPOLL_CTL_MOD, connection.fd, &event);
}

void Load::SendMore(Connection& connection) {
  const std::string& bytes = connection.requests[connection.next].bytes;
  const size_t done = bytes.size() - connection.unsent;
  const ssize_t sent =
      send(connection.fd, bytes.data() + done, connection.unsent, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent < 0 && errno != EAGAIN) Die(std::string("send: ") + std::strerror(errno));
  const bool was_partial = connection.unsent != bytes.size();
  connection.unsent -= sent > 0 ? static_cast<size_t>(sent) : 0;
  if (connection.unsent > 0 || was_partial) Watch(connection, connection.unsent > 0);
}

void Load::SendNext(Connection& connection) {
  connection.next = (connection.next + 1) % connection.requests.size();
  Request& request = connection.requests[connection.next];
  request.SetTimes(WallMs());
  request.SetIds(&next_id_);
  connection.unsent = request.bytes.size();
  connection.waiting = true;
  bytes_ += request.bytes.size();
  ++in_flight_;
  SendMore(connection);
}

void Load::Answered(Connection& connection, int status) {
  const int64_t now_ns = NowNs();
  connection.waiting = false;
  --in_flight_;
  end_ns_ = now_ns;
  if (status == 200) {
    latencies_us_.push_back(static_cast<uint32_t>((now_ns - connection.from_ns) / 1000));
  } else {
    (status == 429 ? throttled_ : errors_) += 1;
  }
  if (now_ns >= stop_ns_) return;
  if (period_ns_ == 0) {
    connection.from_ns = now_ns;
    SendNext(connection);
  } else {
    StartDue(now_ns);
  }
}

void Load::ReceiveSome(Connection& connection) {
  char block[4096];
  const ssize_t got = recv(connection.fd, block, sizeof block, MSG_DONTWAIT);
  if (got < 0 && errno == EAGAIN) return;
  if (got <= 0) Die("the server closed a connection: " + connection.answer);
  connection.answer.append(block, static_cast<size_t>(got));
  const std::string_view answer = connection.answer;
  const size_t head_end = answer.find("\r\n\r\n");
  if (head_end == std::string_view::npos) return;
  constexpr std::string_view kLength = "Content-Length: ";
  const size_t at = answer.find(kLength);
  size_t length = 0;
  if (at < head_end) {
    std::from_chars(answer.data() + at + kLength.size(), answer.data() + head_end, length);
  }
  if (answer.size() < head_end + 4 + length) return;
  int status = 0;
  std::from_chars(answer.data() + 9, answer.data() + 12, status);
  if (status != 200 && errors_ == 0) {
    std::fprintf(stderr, "ingest_load: %s\n", connection.answer.c_str());
  }
  connection.answer.clear();
  Answered(connection, status);
}

// Open loop: each connection has its own moments, evenly between those of the others.
void Load::StartDue(int64_t now_ns) {
  for (Connection& connection : connections_) {
    if (connection.waiting || connection.due_ns > now_ns || connection.due_ns >= stop_ns_) continue;
    connection.from_ns = connection.due_ns;
    connection.due_ns += period_ns_;
    SendNext(connection);
  }
}

int64_t Load::NextDueNs() const {
  int64_t next = stop_ns_;
  for (const Connection& connection : connections_) {
    if (!connection.waiting) next = std::min(next, connection.due_ns);
  }
  return next;
}

void Load::Run() {
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  start_ns_ = NowNs();
  stop_ns_ = start_ns_ + static_cast<int64_t>(options_.seconds * 1e9);
  if (options_.rate > 0) {
    period_ns_ = static_cast<int64_t>(1e9 * options_.connections / options_.rate);
  }
  for (size_t i = 0; i < connections_.size(); ++i) {
    Connection& connection = connections_[i];
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = &connection;
    epoll_ctl(epoll_, EPOLL_CTL_ADD, connection.fd, &event);
    connection.due_ns = start_ns_ + period_ns_ * static_cast<int64_t>(i) / options_.connections;
    if (period_ns_ != 0) continue;
    connection.from_ns = NowNs();
    SendNext(connection);
  }
  constexpr int64_t kDrainNs = 30'000'000'000;
  std::vector<epoll_event> ready(connections_.size());
  for (int64_t now_ns = NowNs(); now_ns < stop_ns_ || in_flight_ > 0; now_ns = NowNs()) {
    if (now_ns > stop_ns_ + kDrainNs) Die("requests were left without an answer");
    if (period_ns_ != 0) StartDue(now_ns);
    const int64_t until_ns =
        period_ns_ == 0 || now_ns >= stop_ns_ ? now_ns + 100'000'000 : NextDueNs();
    const int64_t wait_ns = std::clamp<int64_t>(until_ns - now_ns, 0, 100'000'000);
    const timespec timeout{wait_ns / 1'000'000'000, wait_ns % 1'000'000'000};
    const int count =
        epoll_pwait2(epoll_, ready.data(), static_cast<int>(ready.size()), &timeout, nullptr);
    for (int i = 0; i < count; ++i) {
      Connection& connection = *static_cast<Connection*>(ready[i].data.ptr);
      if (ready[i].events & EPOLLOUT) SendMore(connection);
      if (ready[i].events & ~static_cast<uint32_t>(EPOLLOUT)) ReceiveSome(connection);
    }
  }
}

void Load::Print() const {
  std::vector<uint32_t> sorted = latencies_us_;
  std::sort(sorted.begin(), sorted.end());
  const auto at = [&](double quantile) {
    if (sorted.empty()) return 0.0;
    return sorted[static_cast<size_t>(quantile * static_cast<double>(sorted.size() - 1))] / 1000.0;
  };
  const double seconds = static_cast<double>(std::max<int64_t>(1, end_ns_ - start_ns_)) / 1e9;
  const double events = static_cast<double>(sorted.size()) * options_.events_per_body;
  std::printf(
      "{\"events\": %.0f, \"requests\": %zu, \"errors\": %llu, \"throttled\": %llu, "
      "\"seconds\": %.3f, \"events_per_s\": %.0f, \"requests_per_s\": %.1f, \"mb_per_s\": %.1f, "
      "\"p50_ms\": %.3f, \"p90_ms\": %.3f, \"p99_ms\": %.3f, \"p999_ms\": %.3f, "
      "\"max_ms\": %.3f}\n",
      events, sorted.size(), static_cast<unsigned long long>(errors_),
      static_cast<unsigned long long>(throttled_), seconds, events / seconds,
      static_cast<double>(sorted.size()) / seconds, static_cast<double>(bytes_) / 1e6 / seconds,
      at(0.5), at(0.9), at(0.99), at(0.999), at(1.0));
}

}  // namespace

int main(int argc, char** argv) {
  Load load(Parse(argc, argv));
  load.Run();
  load.Print();
  return 0;
}
