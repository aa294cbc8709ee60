#include "infer/decode.h"

namespace ettin {

View decode_step(const Session& session, std::span<const DecodeInput> inputs, Arena& arena) {
  Batch batch;
  std::vector<KvCache*> caches;
  std::vector<int64_t> last;
  caches.reserve(inputs.size());
  last.reserve(inputs.size());
  for (const DecodeInput& input : inputs) {
    batch.append(input.pending, input.cache->past());
    caches.push_back(input.cache);
    if (input.wanted) last.push_back(batch.tokens() - 1);
  }
  const View hidden = backbone_forward(session.network(), batch, caches, arena);  // (T, H)
  const View wanted =
      session.backend().allocate(arena, static_cast<int64_t>(last.size()), hidden.cols);
  session.backend().gather_rows(hidden, last, wanted);  // (N, H)
  return wanted;
}

}  // namespace ettin
