// Frames over the socket between the server and one of its SQL workers: a length, a type, bytes,
// and the file descriptors that come with them. Used by one thread at a time.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "query/patience.h"
#include "store/unique_fd.h"

namespace varve::query {

enum class FrameType : uint32_t {
  // to the worker; the payloads are in worker_messages.h
  kSetup,  // SetupMessage, once: how it limits itself
  kCheck,  // a statement's text
  kFiles,  // descriptors of mapped files, ahead of kRun
  kRun,    // RunMessage: the checked statement
  kNext,   // NextMessage: the next page of it
  // from the worker
  kReady,   // to kSetup
  kTables,  // TablesMessage: to kCheck
  kData,    // a part of the answer: to kRun and kNext, any number, then kDone or kError
  kDone,    // DoneMessage
  kError,   // Error: to any
};

struct Frame {
  FrameType type{};
  std::string payload;
  std::vector<store::UniqueFd> files;
};

class Channel {
 public:
  static constexpr size_t kFilesMax = 250;  // in one frame; the system's limit is 253

  // A larger frame than frame_bytes_max is not taken in.
  Channel(store::UniqueFd socket, uint64_t frame_bytes_max)
      : socket_(std::move(socket)), frame_bytes_max_(frame_bytes_max) {}

  // kCancelled when the patience ends first; kUnknown: the other side has gone, or talks nonsense.
  // After an error the channel is of no more use.
  Status Send(FrameType type, std::string_view payload, const Patience& patience,
              std::span<const int> files = {});
  Result<Frame> Receive(const Patience& patience);
  bool IsOpen() const;  // the other side has not gone

 private:
  Status Await(short events, const Patience& patience) const;
  Result<size_t> Read(char* to, size_t size, std::vector<store::UniqueFd>* files,
                      const Patience& patience);
  Status ReadAll(char* to, size_t size, std::vector<store::UniqueFd>* files,
                 const Patience& patience);

  store::UniqueFd socket_;
  uint64_t frame_bytes_max_;
};

}  // namespace varve::query
