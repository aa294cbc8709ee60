#include "infer/decode.h"

namespace ettin {

View decode_step(const Session& session, std::span<DecodeState* const> states, Arena& arena) {
  Batch batch;
  std::vector<KvCache*> caches;
  std::vector<int64_t> last;
  for (DecodeState* s : states) {
    batch.append(s->pending, s->cache.past());
    s->pending.clear();
    caches.push_back(&s->cache);
    last.push_back(batch.tokens() - 1);
  }
  const View hidden = backbone_forward(session.network(), batch, caches, arena);  // (T, H)
  const View wanted =
      session.backend().allocate(arena, static_cast<int64_t>(last.size()), hidden.cols);
  session.backend().gather_rows(hidden, last, wanted);  // (N, H)
  return wanted;
}

}  // namespace ettin
