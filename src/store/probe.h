// Whether a store keeps its word on conditional writes. Stores are known that ignore, invert or
// race the conditions; commits by several writers on such a one lose data without an error.
#pragma once

#include "core/clock.h"
#include "store/object_store.h"

namespace varve::store {

// Creates a key twice, lets racers create one, writes with a stale ETag and to a missing object, by
// objects under _varve_probe/ that it deletes again. Run it before SetListener, so that nobody
// hears of them. kInvalid, STORE_NOT_CONDITIONAL: says which promise was broken. Other errors: it
// could not be found out.
Status ProbeStore(ObjectStore& store, Random& random = SystemRandom());

}  // namespace varve::store
