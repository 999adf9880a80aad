// Avro object container files (spec 1.11), as Iceberg's manifests need them: header, blocks, the
// null and deflate codecs. Reading follows the file's own schema, and knows fields by Iceberg's
// "field-id"; every count is bounded by the bytes that are left, schemas by depth and size.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace varve::table {

// Binary encoding, appended to bytes.
class AvroEncoder {
 public:
  void Long(int64_t value);
  void Bool(bool value) { bytes_.push_back(value ? '\1' : '\0'); }
  void Bytes(std::string_view value);
  void Raw(std::string_view value) { bytes_.append(value); }
  void Branch(bool present) { Long(present ? 1 : 0); }  // of ["null", T]
  std::string& bytes() { return bytes_; }

 private:
  std::string bytes_;
};

enum class AvroCodec : uint8_t { kNull, kDeflate };

// A container being written; records go to blocks of about 64 KiB.
class AvroWriter {
 public:
  // sync: 16 bytes that are unlikely to be in the data.
  AvroWriter(std::string_view schema_json, const std::map<std::string, std::string>& metadata,
             AvroCodec codec, std::string_view sync);
  void Add(std::string_view record);
  size_t bytes() const { return out_.size() + block_.size(); }  // about
  Result<std::string> Finish() &&;

 private:
  Status EndBlock();

  const AvroCodec codec_;
  const std::string sync_;
  std::string out_, block_;
  int64_t records_ = 0;
  Status error_;
};

enum class AvroKind : uint8_t {
  kNull,
  kBoolean,
  kInt,
  kLong,
  kFloat,
  kDouble,
  kBytes,
  kString,
  kFixed,
  kEnum,
  kRecord,
  kArray,
  kMap,
  kUnion,
};

struct AvroSchema;

struct AvroField {
  int32_t field_id = -1;  // Iceberg's; -1: none
  std::string name;
  std::unique_ptr<AvroSchema> type;
};

struct AvroSchema {
  AvroKind kind = AvroKind::kNull;
  size_t fixed_bytes = 0;
  std::vector<AvroField> fields;                      // a record's
  std::vector<std::unique_ptr<AvroSchema>> branches;  // a union's; an array's or map's values
};

Result<std::unique_ptr<AvroSchema>> ParseAvroSchema(std::string_view json);

// Reads binary encoding. A call that returns false has met bytes that are cut short or wrong, and
// so has every later one.
class AvroDecoder {
 public:
  explicit AvroDecoder(std::string_view bytes) : rest_(bytes) {}

  bool Long(int64_t* value);
  bool Bool(bool* value);
  bool Bytes(std::string_view* value);
  bool Fixed(size_t bytes, std::string_view* value);
  // The union's branch that follows; the schema itself if it is none. nullptr: wrong.
  const AvroSchema* Resolve(const AvroSchema& schema);
  // Any value of the schema.
  bool Skip(const AvroSchema& schema, int depth = 0);
  // Calls item for each of the items of an array or a map's values; a map's keys are passed over.
  bool Items(const AvroSchema& schema, const std::function<bool(const AvroSchema&)>& item);

  std::string_view rest() const { return rest_; }

 private:
  bool Fail() {
    rest_ = {};
    return false;
  }
  std::string_view rest_;
};

inline constexpr size_t kAvroBlockBytesMax = size_t{256} << 20;  // decompressed

// A container's header, checked; its blocks are decoded one after another.
class AvroReader {
 public:
  // bytes outlive it. kCorrupt: no container, or a codec that is not ours.
  static Result<AvroReader> Open(std::string_view bytes);

  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  const AvroSchema& schema() const { return *schema_; }
  // Calls record with a decoder at each record's front; it reads or skips exactly the record.
  Status ForEach(const std::function<Status(AvroDecoder&)>& record) const;

 private:
  AvroReader() = default;

  std::map<std::string, std::string> metadata_;
  std::shared_ptr<const AvroSchema> schema_;
  AvroCodec codec_ = AvroCodec::kNull;
  std::string_view sync_, blocks_;
};

}  // namespace varve::table
