// NDJSON is cut at newlines and nothing else is looked at, so that a broken line stays one line's
// problem. JSON is cut by depth, strings minded; a broken one ends the input there.
#include "app/batch_reader.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/bytes.h"

namespace varve::app {
namespace {

constexpr size_t kReadBytes = 1 << 18;
constexpr size_t kWrapperBytes = 128;  // {"batchId":"…","events":[ … ]}
constexpr std::string_view kSpace = " \t\r\n";

bool Blank(std::string_view text) {
  return text.find_first_not_of(kSpace) == std::string_view::npos;
}

// One past the value that starts at text[0], or npos if it goes on behind text.
size_t ValueEnd(std::string_view text) {
  size_t depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
      continue;
    }
    if (c == '"') in_string = true;
    if (c == '{' || c == '[') ++depth;
    if (c == '}' || c == ']') {
      if (depth <= 1) return depth == 0 ? i : i + 1;
      --depth;
    }
    if (depth == 0 && (c == ',' || kSpace.find(c) != std::string_view::npos)) return i;
  }
  return std::string_view::npos;
}

}  // namespace

std::string RequestBody(const InputBatch& batch) {
  std::string body = fmt::format("{{\"batchId\":{},\"events\":[", JsonQuote(batch.id));
  body.reserve(body.size() + batch.bytes.size() + batch.events.size() + 2);
  for (size_t i = 0; i < batch.events.size(); ++i) {
    if (i > 0) body += ',';
    body += batch.Event(i);
  }
  body += "]}";
  return body;
}

std::string BatchId(std::string_view identity, const InputBatch& batch) {
  std::string text = fmt::format("{}\n{}\n{}\n", identity, batch.begin, batch.events.size());
  return "file-" + HexEncode(Sha256(text + batch.bytes)).substr(0, 32);
}

BatchReader::BatchReader(std::FILE* file, std::string name, std::string identity,
                         InputFormat format, const BatchLimits& limits, uint64_t start,
                         uint64_t line)
    : file_(file),
      name_(std::move(name)),
      identity_(std::move(identity)),
      format_(format),
      limits_(limits),
      base_(start),
      line_(line) {}

Status BatchReader::Bad(std::string_view what) const {
  return MakeError(ErrorKind::kInvalid, "INVALID_INPUT",
                   fmt::format("{}:{}: {}", name_, line_, what));
}

Status BatchReader::Fill() {
  if (at_ > 0) {
    buffer_.erase(0, at_);
    base_ += at_;
    at_ = 0;
  }
  size_t size = buffer_.size();
  buffer_.resize(size + kReadBytes);
  size_t got = std::fread(buffer_.data() + size, 1, kReadBytes, file_);
  buffer_.resize(size + got);
  if (got < kReadBytes) {
    if (std::ferror(file_)) return ErrnoError(errno, "read " + name_);
    eof_ = true;
  }
  return {};
}

Result<bool> BatchReader::NextLine(std::string_view* event, uint64_t* line) {
  size_t searched = 0;
  while (true) {
    size_t end = buffer_.find('\n', at_ + searched);
    if (end == std::string::npos && !eof_) {
      searched = buffer_.size() - at_;
      if (searched > limits_.event_bytes_max) return Bad("the line is longer than 16 MiB").error();
      TRY(Fill());
      continue;
    }
    if (end == std::string::npos && at_ == buffer_.size()) return false;
    std::string_view text = std::string_view(buffer_).substr(
        at_, end == std::string::npos ? std::string::npos : end - at_);
    *line = line_++;
    at_ = end == std::string::npos ? buffer_.size() : end + 1;
    searched = 0;
    while (!text.empty() && kSpace.find(text.back()) != std::string_view::npos)
      text.remove_suffix(1);
    if (Blank(text)) continue;
    *event = text;
    return true;
  }
}

// Behind white space and commas, at the first byte of something. False: the input ends.
Result<bool> BatchReader::SkipToValue() {
  while (true) {
    for (; at_ < buffer_.size(); ++at_) {
      char c = buffer_[at_];
      if (c == '\n') ++line_;
      if (kSpace.find(c) == std::string_view::npos && !(in_array_ && c == ',')) return true;
    }
    if (eof_) return false;
    TRY(Fill());
  }
}

// At '{': a batch, {"events": […]}, is entered up to its array; anything else is left alone.
Status BatchReader::EnterObject() {
  size_t key = buffer_.find("\"events\"", at_);
  if (key == std::string::npos || key - at_ > 4096) return {};
  size_t colon = buffer_.find_first_not_of(kSpace, key + 8);
  if (colon == std::string::npos || buffer_[colon] != ':') return {};
  size_t array = buffer_.find_first_not_of(kSpace, colon + 1);
  if (array == std::string::npos || buffer_[array] != '[') return {};
  std::string_view before = std::string_view(buffer_).substr(at_, key - at_);
  if (std::count(before.begin(), before.end(), '{') != 1 ||
      before.find("\"type\"") != std::string_view::npos) {
    return {};
  }
  line_ += static_cast<uint64_t>(std::count(buffer_.begin() + static_cast<ptrdiff_t>(at_),
                                            buffer_.begin() + static_cast<ptrdiff_t>(array), '\n'));
  at_ = array + 1;
  in_array_ = whole_object_ = true;
  return {};
}

Result<bool> BatchReader::NextValue(std::string_view* event, uint64_t* line) {
  while (true) {
    size_t size = ValueEnd(std::string_view(buffer_).substr(at_));
    if (size == std::string_view::npos && eof_ && !in_array_) {
      std::string_view last = std::string_view(buffer_).substr(at_);
      if (last.front() == '{' || last.front() == '[') return Bad("the JSON ends too early").error();
      size = last.size();
    }
    if (size == std::string_view::npos) {
      if (eof_) return Bad("the JSON ends too early").error();
      if (buffer_.size() - at_ > limits_.event_bytes_max) {
        return Bad("the event is larger than 16 MiB").error();
      }
      TRY(Fill());
      continue;
    }
    if (size == 0) return Bad("not a JSON value").error();
    *event = std::string_view(buffer_).substr(at_, size);
    *line = line_;
    line_ += static_cast<uint64_t>(std::count(event->begin(), event->end(), '\n'));
    at_ += size;
    return true;
  }
}

Result<bool> BatchReader::NextJson(std::string_view* event, uint64_t* line) {
  while (true) {
    if (!TRY(SkipToValue())) {
      if (in_array_) return Bad("the JSON ends too early: its array is not closed").error();
      return false;
    }
    char c = buffer_[at_];
    if (in_array_ && c == ']') {
      ++at_;
      in_array_ = false;
      if (!whole_object_) continue;
      at_ = buffer_.size();  // the batch's other members
      while (!eof_) {
        TRY(Fill());
        at_ = buffer_.size();
      }
      return false;
    }
    if (in_array_) return NextValue(event, line);
    if (c == '[') {
      ++at_;
      in_array_ = true;
      continue;
    }
    if (c != '{') return Bad("neither a JSON array nor an object").error();
    TRY(EnterObject());
    if (!in_array_) return NextValue(event, line);
  }
}

Result<bool> BatchReader::Next(InputBatch* batch) {
  *batch = InputBatch();
  batch->begin = position();
  if (format_ == InputFormat::kAuto) {
    if (!TRY(SkipToValue())) return false;
    format_ = buffer_[at_] == '[' ? InputFormat::kJson : InputFormat::kNdjson;
  }
  while (batch->events.size() < limits_.events_max) {
    uint64_t line = 0;
    std::string_view event;
    bool more =
        format_ == InputFormat::kJson ? TRY(NextJson(&event, &line)) : TRY(NextLine(&event, &line));
    if (!more) break;
    size_t size = batch->bytes.size() + batch->events.size() + event.size() + kWrapperBytes;
    if (!batch->events.empty() && size > limits_.bytes_max) {
      at_ = static_cast<size_t>(event.data() - buffer_.data());  // it opens the next batch
      line_ = line;
      break;
    }
    batch->events.push_back(
        {static_cast<uint32_t>(batch->bytes.size()), static_cast<uint32_t>(event.size()), line});
    batch->bytes += event;
  }
  batch->end = position();
  batch->next_line = line_;
  if (batch->events.empty()) return false;
  batch->id = BatchId(identity_, *batch);
  return true;
}

}  // namespace varve::app
