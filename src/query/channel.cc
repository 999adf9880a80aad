#include "query/channel.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace varve::query {

namespace {

struct Head {
  FrameType type;
  uint32_t files;
  uint64_t payload_bytes;
};

constexpr size_t kControlBytes = CMSG_SPACE(Channel::kFilesMax * sizeof(int));

Error Gone() { return MakeError(ErrorKind::kUnknown, "the SQL worker's connection has ended"); }

void AttachFiles(msghdr* message, char* control, std::span<const int> files) {
  message->msg_control = control;
  message->msg_controllen = CMSG_SPACE(files.size_bytes());
  cmsghdr* head = CMSG_FIRSTHDR(message);
  head->cmsg_level = SOL_SOCKET;
  head->cmsg_type = SCM_RIGHTS;
  head->cmsg_len = CMSG_LEN(files.size_bytes());
  std::memcpy(CMSG_DATA(head), files.data(), files.size_bytes());
}

void TakeFiles(msghdr* message, std::vector<store::UniqueFd>* files) {
  for (cmsghdr* head = CMSG_FIRSTHDR(message); head != nullptr; head = CMSG_NXTHDR(message, head)) {
    if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(head) + i * sizeof(int), sizeof fd);
      files->emplace_back(fd);
    }
  }
}

}  // namespace

Status Channel::Await(short events, const Patience& patience) const {
  while (true) {
    TRY(patience.Check());
    pollfd poll_for{socket_.get(), events, 0};
    const int ready = poll(&poll_for, 1, patience.LookMs());
    if (ready > 0) return {};
    if (ready < 0 && errno != EINTR) return ErrnoError(errno, "wait for a SQL worker");
  }
}

Status Channel::Send(FrameType type, std::string_view payload, const Patience& patience,
                     std::span<const int> files) {
  CHECK(files.size() <= kFilesMax);
  Head head{type, static_cast<uint32_t>(files.size()), payload.size()};
  std::array<iovec, 2> parts = {iovec{&head, sizeof head},
                                iovec{const_cast<char*>(payload.data()), payload.size()}};
  alignas(cmsghdr) std::array<char, kControlBytes> control{};
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = parts.size();
  if (!files.empty()) AttachFiles(&message, control.data(), files);
  size_t left = sizeof head + payload.size();
  while (left > 0) {
    const ssize_t sent = sendmsg(socket_.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0) {
      if (errno == EPIPE || errno == ECONNRESET) return Gone();
      if (errno != EAGAIN && errno != EINTR) return ErrnoError(errno, "send to a SQL worker");
      TRY(Await(POLLOUT, patience));
      continue;
    }
    message.msg_control = nullptr;  // they went with the first byte
    message.msg_controllen = 0;
    left -= static_cast<size_t>(sent);
    size_t passed = static_cast<size_t>(sent);
    for (iovec& part : parts) {
      const size_t taken = std::min(passed, part.iov_len);
      part.iov_base = static_cast<char*>(part.iov_base) + taken;
      part.iov_len -= taken;
      passed -= taken;
    }
  }
  return {};
}

Result<size_t> Channel::Read(char* to, size_t size, std::vector<store::UniqueFd>* files,
                             const Patience& patience) {
  alignas(cmsghdr) std::array<char, kControlBytes> control;
  while (true) {
    iovec part{to, size};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (files != nullptr) {
      message.msg_control = control.data();
      message.msg_controllen = control.size();
    }
    const ssize_t got = recvmsg(socket_.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (got > 0) {
      if (files != nullptr) TakeFiles(&message, files);
      return static_cast<size_t>(got);
    }
    if (got == 0 || errno == ECONNRESET) return Gone();
    if (errno != EAGAIN && errno != EINTR) return ErrnoError(errno, "hear from a SQL worker");
    TRY(Await(POLLIN, patience));
  }
}

Status Channel::ReadAll(char* to, size_t size, std::vector<store::UniqueFd>* files,
                        const Patience& patience) {
  while (size > 0) {
    const size_t got = TRY(Read(to, size, files, patience));
    to += got;
    size -= got;
  }
  return {};
}

Result<Frame> Channel::Receive(const Patience& patience) {
  TRY(patience.Check());  // also of a side that never stops talking
  Frame frame;
  Head head;
  TRY(ReadAll(reinterpret_cast<char*>(&head), sizeof head, &frame.files, patience));
  if (head.payload_bytes > frame_bytes_max_ || head.files != frame.files.size()) {
    return MakeError(ErrorKind::kUnknown, "a SQL worker's frame is out of bounds");
  }
  frame.type = head.type;
  frame.payload.resize(head.payload_bytes);
  TRY(ReadAll(frame.payload.data(), frame.payload.size(), nullptr, patience));
  return frame;
}

bool Channel::IsOpen() const {
  pollfd poll_for{socket_.get(), POLLRDHUP, 0};
  return poll(&poll_for, 1, 0) == 0;
}

}  // namespace varve::query
