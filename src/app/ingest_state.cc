#include "app/ingest_state.h"

#include <fmt/format.h>
#include <stdio.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "core/bytes.h"

namespace varve::app {
namespace {

constexpr uint64_t kHeadBytesMax = 4096;

Result<std::string> HeadHash(const std::string& input, uint64_t bytes) {
  std::ifstream in(input, std::ios::binary);
  std::string head(bytes, '\0');
  in.read(head.data(), static_cast<std::streamsize>(bytes));
  if (in.bad() || static_cast<uint64_t>(in.gcount()) != bytes) {
    return MakeError(ErrorKind::kNotFound, input + " is shorter than before");
  }
  return HexEncode(Sha256(head));
}

}  // namespace

Result<IngestState> IngestState::Load(const std::string& path) {
  IngestState state;
  state.path_ = path;
  std::ifstream in(path, std::ios::binary);
  if (path.empty() || !in) return state;
  std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  try {
    nlohmann::json json = nlohmann::json::parse(text);
    for (const auto& [input, entry] : json.at("inputs").items()) {
      state.inputs_[input] = {entry.at("offset").get<uint64_t>(), entry.at("line").get<uint64_t>(),
                              entry.at("head").get<std::string>(),
                              entry.at("headBytes").get<uint64_t>()};
    }
  } catch (const nlohmann::json::exception&) {
    return MakeError(ErrorKind::kCorrupt, path +
                                              " is not a state file of `varve ingest`; remove it, "
                                              "or name another with --state");
  }
  return state;
}

Result<InputState> IngestState::ResumeAt(const std::string& input) {
  auto found = inputs_.find(input);
  if (found == inputs_.end()) return InputState();
  Result<std::string> head = HeadHash(input, found->second.head_bytes);
  if (!head.ok() || *head != found->second.head) return InputState();
  return found->second;
}

Status IngestState::Save(const std::string& input, uint64_t offset, uint64_t line) {
  if (path_.empty()) return {};
  InputState& entry = inputs_[input];
  uint64_t head_bytes = std::min(offset, kHeadBytesMax);
  if (entry.head_bytes != head_bytes || entry.offset > offset) {
    entry.head = TRY(HeadHash(input, head_bytes));
    entry.head_bytes = head_bytes;
  }
  entry.offset = offset;
  entry.line = line;
  nlohmann::ordered_json inputs = nlohmann::ordered_json::object();
  for (const auto& [name, state] : inputs_) {
    inputs[name] = {{"offset", state.offset},
                    {"line", state.line},
                    {"head", state.head},
                    {"headBytes", state.head_bytes}};
  }
  std::string temporary = path_ + ".new";
  std::ofstream out(temporary, std::ios::binary | std::ios::trunc);
  out << nlohmann::ordered_json{{"inputs", inputs}}.dump(1, ' ', false,
                                                         nlohmann::json::error_handler_t::replace)
      << '\n';
  out.close();
  if (!out) return ErrnoError(errno, "write " + temporary);
  if (rename(temporary.c_str(), path_.c_str()) != 0)
    return ErrnoError(errno, "rename " + temporary);
  return {};
}

}  // namespace varve::app
