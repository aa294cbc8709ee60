#include "backend/cpu/attention_gradients.h"

#include <algorithm>
#include <vector>

#include "backend/cpu/regions.h"
#include "backend/cpu/scratch.h"
#include "backend/shapes.h"

namespace ettin::cpu {
namespace {

// Of one task: long sequences are cut, and what their parts add to the queries is summed up later.
// A constant, so that sums do not depend on the number of threads.
constexpr int64_t kKeysOfTask = 2048;
constexpr int64_t kFlopsPerNanosecond = 50;  // of one thread, about

struct Part {
  size_t sequence;
  int64_t first_key, last_key;      // of the sequence
  int64_t first_query, last_query;  // that see them
  int64_t offset;                   // rows in the partial sums, or -1: no partial sums
};

struct Plan {
  std::vector<Part> parts;
  int64_t partial_rows = 0;
  int64_t flops = 0;  // of one head, for each of its dimensions
};

Plan make_plan(const AttentionGradientCall& call) {
  Plan plan;
  for (size_t n = 0; n + 1 < call.starts.size(); ++n) {
    const int64_t length = call.starts[n + 1] - call.starts[n];
    for (int64_t key = 0; key < length; key += kKeysOfTask) {
      const int64_t last = std::min(length, key + kKeysOfTask);
      Part part = {n, key, last, 0, length, -1};
      part.first_query = std::max<int64_t>(0, key - call.spec.right);
      part.last_query = std::min(length, last + call.spec.left);
      const int64_t queries = part.last_query - part.first_query;
      if (length > kKeysOfTask) {
        part.offset = plan.partial_rows;
        plan.partial_rows += queries;
      }
      const int64_t seen = std::min(call.spec.left + call.spec.right + 1, queries);
      plan.flops += 10 * (last - key) * seen;
      plan.parts.push_back(part);
    }
  }
  return plan;
}

}  // namespace

void run_attention_backward(const AttentionGradientKernels& kernels, ThreadPool& pool,
                            const AttentionGradientCall& call) {
  const int64_t heads = call.heads, H = call.out.cols, D = H / heads;
  const Plan plan = make_plan(call);
  auto* const partial = reinterpret_cast<float*>(
      call_scratch(plan.partial_rows * H * static_cast<int64_t>(sizeof(float))));
  const auto tasks = static_cast<int64_t>(plan.parts.size()) * heads;
  for_tasks(pool, tasks, plan.flops * H / kFlopsPerNanosecond, [&](int64_t index) {
    const Part& part = plan.parts[to_size(index / heads)];
    const int64_t column = index % heads * D, row = call.starts[part.sequence];
    AttentionGradientTask t;
    t.queries = call.qkv.row<float>(row) + column;
    t.keys = t.queries + H;
    t.values = t.keys + H;
    t.stride = call.qkv.stride;
    t.dy = call.dy.row<float>(row) + column;
    t.dy_stride = call.dy.stride;
    t.log_sums = call.log_sums.row<float>(row) + index % heads;
    t.log_sum_stride = call.log_sums.stride;
    t.out = call.out.row<float>(row) + column;
    t.out_stride = call.out.stride;
    t.spec = call.spec;
    t.length = call.starts[part.sequence + 1] - row;
    t.head_dim = D;
    t.first_key = part.first_key;
    t.last_key = part.last_key;
    t.first_query = part.first_query;
    t.last_query = part.last_query;
    if (part.offset < 0) {
      t.d_queries = call.d_qkv.row<float>(row + part.first_query) + column;
      t.d_query_stride = call.d_qkv.stride;
    } else {
      t.d_queries = partial + part.offset * H + column;
      t.d_query_stride = H;
    }
    t.d_keys = call.d_qkv.row<float>(row) + H + column;
    t.d_values = t.d_keys + H;
    t.d_stride = call.d_qkv.stride;
    kernels.backward(t, thread_scratch(kernels.scratch_floats(t)));
  });
  if (plan.partial_rows == 0) return;
  // In the order of the parts.
  for_rows(pool, call.d_qkv.rows, H, [&](int64_t t) {
    bool first = true;
    for (const Part& part : plan.parts) {
      const int64_t r = t - call.starts[part.sequence];
      if (part.offset < 0 || r < part.first_query || r >= part.last_query) continue;
      const float* from = partial + (part.offset + r - part.first_query) * H;
      float* to = call.d_qkv.row<float>(t);
      for (int64_t c = 0; c < H; ++c) to[c] = first ? from[c] : to[c] + from[c];
      first = false;
    }
  });
}

}  // namespace ettin::cpu
