// Objects as files: finding one with its record, drafting one out of sight, publishing the draft.
// LocalStore adds to this preconditions, locks, and the listener.
//
// A put, with what a crash after each step leaves:
//  1. the bytes go to .varve/tmp                         a temporary file, swept at the next open
//  2. the record goes to the file's attribute, or to     the same, and a sidecar that matches no
//     a sidecar that is synced                           object, swept too
//  3. fsync of the file                                  the same
//  4. the directories are made, each synced              empty directories, which hold no objects
//  5. rename, or link for if-absent                      the old object or the new one, whole
//  6. fsync of the directory                             the new object
//  7. the old object's sidecar is removed                a stale sidecar, swept
// A failure up to 5 undoes everything; one at 6 ends the process (file_io.h), because readers may
// have seen an object that a power cut takes back.
#pragma once

#include <sys/stat.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/clock.h"
#include "store/local_store.h"
#include "store/object_record.h"
#include "store/object_store.h"
#include "store/rooted_dir.h"
#include "store/temp_file.h"

namespace varve::store {

class ObjectFiles {
 public:
  struct Found {
    UniqueFd file;
    ObjectMeta meta;
    std::string sidecar;  // its name; empty: the record is in the attribute, or there is none
  };
  struct Draft {
    TempFile file;
    ObjectMeta meta;
    std::string sidecar;
  };

  static Result<std::unique_ptr<ObjectFiles>> Open(const LocalStoreOptions& options,
                                                   const Clock& clock);

  RootedDir& root() { return *root_; }
  const RootedDir& root() const { return *root_; }

  Result<Found> Find(std::string_view key) const;  // kNotFound

  Result<Draft> Write(std::string_view key, std::string_view bytes, const PutOptions& options);
  // A file that is there already, hashed and stamped where it lies; Publish moves it. Nothing: it
  // is on another file system.
  Result<std::optional<Draft>> Adopt(std::string_view key, const std::string& path,
                                     const PutOptions& options);
  // Durable on return. only_if_absent: kConflict if an object is there.
  Status Publish(Draft& draft, bool only_if_absent);
  void Discard(Draft& draft);  // after a failed Publish

  // Durable on return; false: there was none.
  Result<bool> Remove(std::string_view key);
  void RemoveSidecar(const std::string& name);

 private:
  ObjectFiles(std::unique_ptr<RootedDir> root, const LocalStoreOptions& options, const Clock& clock)
      : root_(std::move(root)), portable_(options.portable_calls_only), clock_(clock) {}

  Status LockAndSweep();
  void SweepTemp();
  void SweepSidecars();
  std::optional<ObjectRecord> ReadSidecar(const std::string& name) const;
  Result<bool> WriteSidecar(const std::string& name, std::string_view encoded);
  Status Stamp(Draft& draft, const PutOptions& options);
  static Result<std::string> DigestOf(const Draft& draft, const std::string& doing);
  Status StampAndSync(Draft& draft, const PutOptions& options);
  Status MakeWay(int directory, std::string_view key, bool only_if_absent);

  const std::unique_ptr<RootedDir> root_;
  const bool portable_;
  const Clock& clock_;
  UniqueFd lock_;
  std::atomic<uint32_t> stamps_{0};
};

}  // namespace varve::store
