// The Cloudflare-shaped pull API: request JSON in, response JSON out. HTTP only routes here, so an
// outside consumer written for Cloudflare Queues can join a queue of ours.
//
//   POST /queues/{queue}/messages/pull   {"batch_size":1..100,"visibility_timeout_ms":n}
//   POST /queues/{queue}/messages/ack    {"acks":[{"lease_id"}],"retries":[{"lease_id",
//                                         "delay_seconds"?,"reason"?}]}
//   POST /queues/{queue}/messages        {"body","content_type"?,"delay_seconds"?,"dedup_key"?}
//   POST /queues/{queue}/messages/batch  {"messages":[…],"delay_seconds"?}
//   POST /queues/{queue}/messages/peek   {"batch_size":n}
//   POST /queues/{queue}/messages/purge  {"refs":[{"ref"}]}, or {"all":true}
//
// Every reply is {"success":true,"errors":[],"messages":[],"result":{…}}. A message of content
// type json is given as its plain JSON text in a string, text as it is, bytes in base64. An empty
// request body counts as {}. A field of the wrong type is kInvalid and names the field.
#pragma once

#include <string>
#include <string_view>

#include "core/result.h"

namespace varve::queue {

class Queue;

Result<std::string> HandlePull(Queue& queue, std::string_view name, std::string_view body_json);
Result<std::string> HandleAck(Queue& queue, std::string_view name, std::string_view body_json);
Result<std::string> HandlePush(Queue& queue, std::string_view name, std::string_view body_json);
// All or none is not promised: on an error the messages before it have been sent, and its
// details_json says how many ("sent").
Result<std::string> HandleBatch(Queue& queue, std::string_view name, std::string_view body_json);
Result<std::string> HandlePeek(Queue& queue, std::string_view name, std::string_view body_json);
Result<std::string> HandlePurge(Queue& queue, std::string_view name, std::string_view body_json);

// The envelope of a failed call: {"success":false,"errors":[{"code","message"}],…,"result":null}.
std::string PullErrorBody(const Error& error);

}  // namespace varve::queue
