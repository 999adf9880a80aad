// The process is killed at every point between two durable steps; who opens the directory next
// finds each object old or new, whole and with its own record, and nothing else.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "core/bytes.h"
#include "core/crash_point.h"
#include "stores.h"

namespace varve::store {
namespace {

struct Version {
  std::string bytes;
  std::map<std::string, std::string> metadata;
};

// The large one's record does not fit an attribute.
Version Old() { return {std::string(5000, 'o'), {{"version", "old"}}}; }
Version New() {
  return {std::string(9000, 'n'), {{"version", "new"}, {"l", std::string(6000, 'x')}}};
}

Status PutVersion(ObjectStore& store, const std::string& key, const Version& version,
                  Precondition precondition) {
  PutOptions options;
  options.metadata = version.metadata;
  options.precondition = precondition;
  options.if_match_etag = Md5Hex(Old().bytes);
  return store.Put(key, version.bytes, options).ok() ? Status()
                                                     : MakeError(ErrorKind::kInternal, "put");
}

// Every call that changes the directory, each on a key of its own. "there/…" exist before.
void Script(ObjectStore& store) {
  (void)PutVersion(store, "there/replaced", New(), Precondition::kNone);
  (void)PutVersion(store, "there/matched", New(), Precondition::kIfMatch);
  (void)PutVersion(store, "new/deep/created", New(), Precondition::kIfAbsent);
  (void)PutVersion(store, "new/other/put", New(), Precondition::kNone);
  (void)store.Delete("there/deleted");
  (void)store.Delete("alone/in/folder");
}

enum class MayBe { kOld, kNew, kAbsent };

void ExpectOneOf(ObjectStore& store, const std::string& key, std::vector<MayBe> allowed) {
  const auto head = store.Head(key);
  const auto bytes = store.Get(key);
  ASSERT_EQ(head.ok(), bytes.ok());
  MayBe found = MayBe::kAbsent;
  if (head.ok()) {
    ASSERT_TRUE(head->metadata.contains("version")) << key << " lost its record";
    const bool is_new = head->metadata.at("version") == "new";
    found = is_new ? MayBe::kNew : MayBe::kOld;
    const Version version = is_new ? New() : Old();
    EXPECT_EQ(*bytes, version.bytes) << key;
    EXPECT_EQ(head->metadata, version.metadata) << key;
    EXPECT_EQ(head->etag, Md5Hex(version.bytes)) << key;
  } else {
    EXPECT_EQ(head.error().kind, ErrorKind::kNotFound) << head.error().message;
  }
  EXPECT_NE(std::find(allowed.begin(), allowed.end(), found), allowed.end()) << key;
}

size_t CountFiles(const std::string& path) {
  return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(path), {}));
}

void ExpectWhole(ObjectStore& store, const TempDir& dir) {
  ExpectOneOf(store, "there/replaced", {MayBe::kOld, MayBe::kNew});
  ExpectOneOf(store, "there/matched", {MayBe::kOld, MayBe::kNew});
  ExpectOneOf(store, "new/deep/created", {MayBe::kNew, MayBe::kAbsent});
  ExpectOneOf(store, "new/other/put", {MayBe::kNew, MayBe::kAbsent});
  ExpectOneOf(store, "there/deleted", {MayBe::kOld, MayBe::kAbsent});
  ExpectOneOf(store, "alone/in/folder", {MayBe::kOld, MayBe::kAbsent});
  EXPECT_EQ(CountFiles(dir.File(".varve/tmp")), 0u);
  size_t large = 0;
  for (const std::string& key : Keys(store)) {
    large += store.Head(key)->metadata.at("version") == "new" ? 1 : 0;
  }
  EXPECT_GE(CountFiles(dir.File(".varve/meta")), large);
  EXPECT_LE(CountFiles(dir.File(".varve/meta")), Keys(store).size()) << "a stale sidecar";
}

// The script in a child that dies at the hit-th passage of the point. False: it did not get there.
bool DiesAt(std::string_view point, int hit, StoreKind kind, const TempDir& dir) {
  const pid_t child = fork();
  if (child == 0) {
    auto store = OpenStore(kind, dir.path(), SystemClock(), true);
    CrashPoint::Arm(std::string(point) + ":" + std::to_string(hit));
    Script(*store);
    _exit(0);
  }
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

class CrashTest : public testing::TestWithParam<StoreKind> {};
INSTANTIATE_TEST_SUITE_P(Stores, CrashTest,
                         testing::Values(StoreKind::kLocal, StoreKind::kPortable),
                         [](const auto& info) { return NameOf(info.param); });

TEST_P(CrashTest, AtEveryPointAndPassageObjectsAreOldOrNewAndWhole) {
  int points = 0, kills = 0;
  for (const std::string_view point : CrashPoint::Names()) {
    if (!point.starts_with("store.")) continue;
    ++points;
    for (int hit = 1;; ++hit) {
      SCOPED_TRACE(std::string(point) + ":" + std::to_string(hit));
      const TempDir dir;
      {
        auto store = OpenStore(GetParam(), dir.path());
        for (const char* key :
             {"there/replaced", "there/matched", "there/deleted", "alone/in/folder"}) {
          ASSERT_TRUE(PutVersion(*store, key, Old(), Precondition::kNone).ok());
        }
      }
      if (!DiesAt(point, hit, GetParam(), dir)) {
        EXPECT_GT(hit, 1) << "the script never gets there";
        break;
      }
      ++kills;
      auto store = OpenStore(GetParam(), dir.path());
      ExpectWhole(*store, dir);
      // And the store works: the script, run again, ends with everything new.
      Script(*store);
      ExpectOneOf(*store, "there/replaced", {MayBe::kNew});
      ExpectOneOf(*store, "there/matched", {MayBe::kNew});
      ExpectOneOf(*store, "new/deep/created", {MayBe::kNew});
      ExpectOneOf(*store, "there/deleted", {MayBe::kAbsent});
      ExpectOneOf(*store, "alone/in/folder", {MayBe::kAbsent});
    }
  }
  EXPECT_GE(points, 8);
  EXPECT_GE(kills, 20);
}

}  // namespace
}  // namespace varve::store
