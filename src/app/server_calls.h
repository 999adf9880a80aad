// JSON to a running server and back, for commands that are a server's work.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "app/target.h"

namespace varve::app {

class ServerCalls {
 public:
  // The server that the options name, or that has their data directory. kNotFound, NO_SERVER: none
  // has it; said in the caller's words, who knows what to do then.
  static Result<ServerCalls> Find(const TargetOptions& options, const char* no_server);
  explicit ServerCalls(std::string url, std::string tenant = {})
      : url_(std::move(url)), tenant_(std::move(tenant)) {}

  // The answer's body as it came; any status but 2xx is the server's error. body: JSON, or none.
  Result<std::string> Text(const std::string& method, const std::string& path,
                           const std::string& body = {});
  // The same as the JSON object that it is.
  Result<nlohmann::ordered_json> Object(const std::string& method, const std::string& path,
                                        const std::string& body = {});

 private:
  std::string url_, tenant_;
};

// A member as text, whatever it is; "-" where there is none.
std::string TextOf(const nlohmann::ordered_json& object, const char* name);

}  // namespace varve::app
