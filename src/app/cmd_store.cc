// Looks at objects. They are immutable, so a running server is no hindrance.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "app/commands.h"
#include "app/object_source.h"
#include "app/output.h"
#include "app/target.h"
#include "core/bytes.h"
#include "store/object_store.h"

namespace varve::app {
namespace {

struct StoreFlags {
  TargetOptions target;
  std::string key;
  uint64_t objects_max = 0;
  bool json = false;
};

std::string Line(const ListedObject& object, bool json) {
  if (!json) return fmt::format("{:>12}  {}  {}\n", object.size, object.modified, object.key);
  return fmt::format("{{\"key\":{},\"size\":{},\"etag\":{},\"modified\":{}}}\n",
                     JsonQuote(object.key), object.size, JsonQuote(object.etag),
                     JsonQuote(object.modified));
}

Status List(const StoreFlags& options, ObjectSource& source, Output& out) {
  std::string after;
  uint64_t left = options.objects_max == 0 ? UINT64_MAX : options.objects_max;
  do {
    const auto page_max = static_cast<size_t>(std::min<uint64_t>(left, store::kListObjectsMax));
    ObjectPage page = TRY(source.List(options.key, after, page_max));
    for (const ListedObject& object : page.objects) {
      if (!out.Write(Line(object, options.json)) || Interrupted()) return {};
    }
    left -= page.objects.size();
    after = page.next_start_after;
  } while (!after.empty() && left > 0);
  return {};
}

Status Cat(const StoreFlags& options, ObjectSource& source, Output& out) {
  TRY(store::CheckKey(options.key));
  return source.Read(options.key,
                     [&](std::string_view bytes) { return out.Write(bytes) && !Interrupted(); });
}

Status Head(const StoreFlags& options, ObjectSource& source, Output& out) {
  TRY(store::CheckKey(options.key));
  out.Write(TRY(source.Describe(options.key)));
  return {};
}

using StoreAction = Status (*)(const StoreFlags&, ObjectSource&, Output&);

int Run(const StoreFlags& options, StoreAction action) {
  InstallInterruptHandler();
  Result<std::unique_ptr<ObjectSource>> source = OpenObjectSource(options.target);
  if (!source.ok()) return Fail(source.error());
  Result<std::unique_ptr<Output>> out = Output::Open("");
  if (!out.ok()) return Fail(out.error());
  Status done = action(options, **source, **out);
  Status written = (*out)->Finish();
  if (!done.ok()) return Fail(done.error());
  return written.ok() ? kExitOk : Fail(written.error());
}

}  // namespace

void AddStore(CLI::App& root, Chosen& chosen) {
  CLI::App* command =
      root.add_subcommand("store", "Look at the objects of a server or a data directory");
  command->require_subcommand(1);
  auto options = std::make_shared<StoreFlags>();
  auto add = [&](const char* name, const char* what, StoreAction action) {
    CLI::App* sub = command->add_subcommand(name, what);
    CLI::Option* url = sub->add_option("--url", options->target.url,
                                       "A server (or VARVE_URL); its key in VARVE_API_KEY");
    sub->add_option("--data", options->target.data,
                    "Data directory (default: the configuration's); a server may run on it")
        ->excludes(url);
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
  add("head", "Print an object's size, ETag, type and metadata (of a data directory)", Head)
      ->add_option("key", options->key, "Key")
      ->required();
  command->footer(R"(Over HTTP a key sees its namespace's objects, an administrator's all of them.

Examples:
  varve store ls --data ./varve-data raw-events/
  varve store ls --url http://127.0.0.1:8080 --json events/2026/
  varve store cat --data ./varve-data raw-events/1706878800000-tail-0.ndjson | head
  varve store head --data ./varve-data events/2026/02/02/14/01JK….parquet)");
}

}  // namespace varve::app
