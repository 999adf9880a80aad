// The HTTP server with nothing behind it: POST /ingest is answered from another thread, as the
// committer does, without a look at the body. Against it ingest_load measures the floor that HTTP
// alone sets. Usage: http_floor PORT; ends with its standard input.
#include <charconv>
#include <condition_variable>
#include <cstdio>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "core/clock.h"
#include "ingest/ingest.h"
#include "server/http_server.h"

namespace varve {
namespace {

class CountingIngest final : public ingest::Ingest {
 public:
  CountingIngest() : thread_([this] { Run(); }) {}
  ~CountingIngest() override {
    {
      std::lock_guard lock(mutex_);
      closed_ = true;
    }
    changed_.notify_one();
    thread_.join();
  }

  void SubmitBatch(const NamespaceId&, std::string, record::BodyFormat,
                   ingest::Done<ingest::BatchReply> done) override {
    Answer([done = std::move(done)] { done(ingest::BatchReply{100, false}); });
  }
  void SubmitTail(const NamespaceId&, std::string, ingest::Done<ingest::TailReply> done) override {
    Answer([done = std::move(done)] { done(ingest::TailReply{}); });
  }
  void SubmitWebhook(const NamespaceId&, std::string, std::string,
                     ingest::Done<ingest::BatchReply> done) override {
    Answer([done = std::move(done)] { done(ingest::BatchReply{1, false}); });
  }
  void TailIdle(const NamespaceId&) override {}

 private:
  void Answer(std::function<void()> answer) {
    {
      std::lock_guard lock(mutex_);
      answers_.push_back(std::move(answer));
    }
    changed_.notify_one();
  }

  void Run() {
    std::vector<std::function<void()>> round;
    std::unique_lock lock(mutex_);
    while (true) {
      changed_.wait(lock, [this] { return closed_ || !answers_.empty(); });
      if (answers_.empty()) return;
      round.swap(answers_);
      lock.unlock();
      for (auto& answer : round) answer();
      round.clear();
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::function<void()>> answers_;
  bool closed_ = false;
  std::thread thread_;
};

int Serve(std::string_view port) {
  CountingIngest ingest;
  server::ServerOptions options;
  std::from_chars(port.data(), port.data() + port.size(), options.port);
  server::Services services;
  services.clock = &SystemClock();
  services.random = &SystemRandom();
  services.ingest = &ingest;
  auto server = server::HttpServer::Start(options, services);
  if (!server.ok()) {
    std::fprintf(stderr, "%s\n", server.error().message.c_str());
    return 1;
  }
  while (std::getchar() != EOF) {
  }
  return 0;
}

}  // namespace
}  // namespace varve

int main(int argc, char** argv) { return varve::Serve(argc > 1 ? argv[1] : "0"); }
