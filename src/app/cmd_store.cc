// Looks at the objects in a data directory. They are immutable, so a running server is no
// hindrance.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>

#include "app/commands.h"
#include "app/data_dir.h"
#include "app/output.h"
#include "app/target.h"
#include "core/bytes.h"
#include "core/clock.h"
#include "store/local_store.h"
#include "store/object_store.h"

namespace varve::app {
namespace {

struct Options {
  TargetOptions target;
  std::string key;
  uint64_t objects_max = 0;
  bool json = false;
};

constexpr uint64_t kChunkBytes = 4 << 20;

Result<std::unique_ptr<store::ObjectStore>> Open(const Options& options) {
  std::vector<std::pair<std::string, std::string>> flags;
  if (!options.target.data.empty()) flags.emplace_back("data_dir", options.target.data);
  LoadedConfig loaded = TRY(LoadForCommand(options.target.config, std::move(flags)));
  DataDirPaths paths(loaded.config.data_dir);
  if (access(paths.root.c_str(), R_OK | X_OK) != 0) {
    return ErrnoError(errno, "open the data directory " + paths.root);
  }
  return store::OpenLocalStore({.root = paths.root}, SystemClock());
}

std::string Line(const store::ObjectMeta& object, bool json) {
  if (!json) {
    return fmt::format("{:>12}  {}  {}\n", object.size, FormatIso(object.modified_ms), object.key);
  }
  return fmt::format("{{\"key\":{},\"size\":{},\"etag\":{},\"modified\":\"{}\"}}\n",
                     JsonQuote(object.key), object.size, JsonQuote(object.etag),
                     FormatIso(object.modified_ms));
}

Status List(const Options& options, store::ObjectStore& store, Output& out) {
  std::string after;
  uint64_t left = options.objects_max == 0 ? UINT64_MAX : options.objects_max;
  do {
    size_t page_max = static_cast<size_t>(std::min<uint64_t>(left, 1000));
    store::ListPage page = TRY(store.List(options.key, after, page_max));
    for (const store::ObjectMeta& object : page.objects) {
      if (!out.Write(Line(object, options.json)) || Interrupted()) return {};
    }
    left -= page.objects.size();
    after = page.next_start_after;
  } while (!after.empty() && left > 0);
  return {};
}

Status Cat(const Options& options, store::ObjectStore& store, Output& out) {
  TRY(store::CheckKey(options.key));
  uint64_t size = TRY(store.Head(options.key)).size;
  for (uint64_t at = 0; at < size; at += kChunkBytes) {
    std::string bytes = TRY(store.Get(options.key, store::ByteRange{at, kChunkBytes}));
    if (!out.Write(bytes) || Interrupted()) return {};
  }
  return {};
}

Status Head(const Options& options, store::ObjectStore& store, Output& out) {
  TRY(store::CheckKey(options.key));
  store::ObjectMeta meta = TRY(store.Head(options.key));
  std::string text = fmt::format(
      "key           {}\nsize          {}\netag          {}\n"
      "modified      {}\ncontent-type  {}\n",
      meta.key, meta.size, meta.etag, FormatIso(meta.modified_ms), meta.content_type);
  for (const auto& [name, value] : meta.metadata)
    text += fmt::format("meta          {} = {}\n", name, value);
  out.Write(text);
  return {};
}

using Action = Status (*)(const Options&, store::ObjectStore&, Output&);

int Run(const Options& options, Action action) {
  InstallInterruptHandler();
  Result<std::unique_ptr<store::ObjectStore>> store = Open(options);
  if (!store.ok()) return Fail(store.error());
  Result<std::unique_ptr<Output>> out = Output::Open("");
  if (!out.ok()) return Fail(out.error());
  Status done = action(options, **store, **out);
  Status written = (*out)->Finish();
  if (!done.ok()) return Fail(done.error());
  return written.ok() ? kExitOk : Fail(written.error());
}

}  // namespace

void AddStore(CLI::App& root, Chosen& chosen) {
  CLI::App* command = root.add_subcommand("store", "Look at the objects of a data directory");
  command->require_subcommand(1);
  auto options = std::make_shared<Options>();
  auto add = [&](const char* name, const char* what, Action action) {
    CLI::App* sub = command->add_subcommand(name, what);
    sub->add_option("--data", options->target.data,
                    "Data directory (default: the configuration's)");
    sub->add_option("--config", options->target.config, "TOML file (or VARVE_CONFIG)");
    sub->callback([&chosen, options, action] {
      chosen.run = [options, action] { return Run(*options, action); };
    });
    return sub;
  };
  CLI::App* ls = add("ls", "List objects: size, time, key", List);
  ls->add_option("prefix", options->key, "Only keys that begin with it");
  ls->add_option("--limit", options->objects_max, "At most so many objects");
  ls->add_flag("--json", options->json, "One JSON object a line");
  add("cat", "Print an object's bytes", Cat)->add_option("key", options->key, "Key")->required();
  add("head", "Print an object's size, ETag, type and metadata", Head)
      ->add_option("key", options->key, "Key")
      ->required();
  command->footer(R"(Examples:
  varve store ls --data ./varve-data raw-events/
  varve store cat --data ./varve-data raw-events/1706878800000-tail-0.ndjson | head
  varve store head --data ./varve-data events/2026/02/02/14/01JK….parquet)");
}

}  // namespace varve::app
