#include "journal/thread_priority.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

namespace varve::journal {
namespace {

constexpr uint64_t kShortSliceNs = 100'000;  // the least the kernel takes
constexpr int kBackgroundNice = 10;

struct SchedAttr {  // the kernel's sched_attr, version 0; glibc has no declaration of it
  uint32_t size = sizeof(SchedAttr);
  uint32_t policy = 0;
  uint64_t flags = 0;
  int32_t nice = 0;
  uint32_t priority = 0;
  uint64_t runtime_ns = 0;
  uint64_t deadline_ns = 0;
  uint64_t period_ns = 0;
};
static_assert(sizeof(SchedAttr) == 48);

}  // namespace

void PreferWakeup() {
  SchedAttr attr;
  attr.nice = getpriority(PRIO_PROCESS, 0);
  attr.runtime_ns = kShortSliceNs;
  syscall(SYS_sched_setattr, 0, &attr, 0u);
}

void PreferOthers() {
  setpriority(PRIO_PROCESS, static_cast<id_t>(syscall(SYS_gettid)), kBackgroundNice);
}

}  // namespace varve::journal
