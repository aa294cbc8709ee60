#include "backend/cpu/attention_tasks.h"

#include <algorithm>
#include <vector>

#include "backend/cpu/regions.h"
#include "backend/cpu/scratch.h"
#include "backend/shapes.h"

namespace ettin::cpu {
namespace {

constexpr int64_t kFlopsPerNanosecond = 100;  // of one thread, about
constexpr int64_t kOneQuery = 8;              // times as long for a query that has keys to itself
constexpr int64_t kFewRows = 112;             // of a task, unless the sequence is shorter
constexpr int64_t kTasksPerThread = 8;
constexpr int64_t kPackedBytes = 8 * 1024 * 1024;  // of heads packed at once: they stay in cache
constexpr int64_t kPackedKeys = 128;               // of one task

// Some queries of one sequence.
struct Part {
  size_t sequence;
  int64_t first, rows;  // of the sequence
  int64_t packed;       // index among the packed sequences, or -1
};

// A sequence of several parts: its keys are packed once, for all of them.
struct PackedSequence {
  size_t sequence;
  int64_t first, end;  // positions; `first` is a multiple of the key step
  int64_t needed;      // first position that a query sees
  int64_t offset;      // in the packed memory of a head, in positions
};

struct Plan {
  std::vector<Part> parts;
  std::vector<PackedSequence> packed;
  int64_t packed_positions = 0;
  int64_t flops = 0;
};

int64_t past_of(const AttentionCall& call, size_t sequence) {
  return call.caches.empty() ? 0 : call.caches[sequence].past;
}

Plan make_plan(const AttentionKernels& kernels, int threads, const AttentionCall& call) {
  Plan plan;
  // Large parts share what a task prepares; small ones balance the load.
  const bool window = is_window(call.spec);
  const int64_t most = window ? kernels.max_window_rows : kernels.max_rows;
  const int64_t even = call.qkv.rows * call.heads / (kTasksPerThread * threads);
  const int64_t part_rows = std::clamp(round_up(even, 16), std::min(kFewRows, most), most);
  for (size_t n = 0; n + 1 < call.starts.size(); ++n) {
    const int64_t length = call.starts[n + 1] - call.starts[n];
    const int64_t past = past_of(call, n), end = past + length;
    const int64_t pieces = std::max<int64_t>(1, ceil_div(length, part_rows));
    const int64_t rows = std::min(part_rows, round_up(ceil_div(length, pieces), 16));
    const bool shared = pieces > 1 && !window;
    if (shared) {
      const int64_t needed = visible_keys(call.spec, past, end).first;
      const int64_t first = needed / kernels.key_step * kernels.key_step;
      plan.packed.push_back({n, first, end, needed, plan.packed_positions});
      plan.packed_positions += round_up(end - first, 64);
    }
    const int64_t packed = shared ? static_cast<int64_t>(plan.packed.size()) - 1 : -1;
    for (int64_t r = 0; r < length; r += rows) {
      const Part part = {n, r, std::min(rows, length - r), packed};
      const auto [from, to] = visible_keys(call.spec, past + r, end);
      plan.flops += 4 * call.out.cols * (length == 1 ? kOneQuery : part.rows) * (to - from);
      plan.parts.push_back(part);
    }
  }
  return plan;
}

// The task of one head of a sequence, but for its queries.
AttentionTask head_task(const AttentionCall& call, size_t sequence, int64_t head) {
  const int64_t H = call.out.cols, D = H / call.heads, column = head * D;
  const float* row = call.qkv.row<float>(call.starts[sequence]);
  AttentionTask t;
  t.spec = call.spec;
  t.bf16 = call.bf16;
  t.head_dim = D;
  t.end_position = past_of(call, sequence) + call.starts[sequence + 1] - call.starts[sequence];
  for (const bool keys : {true, false}) {
    HeadRows& rows = keys ? t.keys : t.values;
    rows.own = row + (keys ? H : 2 * H) + column;
    rows.own_stride = call.qkv.stride;
    rows.past = past_of(call, sequence);
    if (rows.past == 0) continue;
    const View& ring = keys ? call.caches[sequence].keys : call.caches[sequence].values;
    ETTIN_CHECK(ring.dtype == (call.bf16 ? Dtype::bf16 : Dtype::f32));
    rows.ring_stride = ring.stride;
    rows.ring_rows = ring.rows;
    if (call.bf16) {
      rows.ring_bf16 = ring.row<uint16_t>(0) + column;
    } else {
      rows.ring = ring.row<float>(0) + column;
    }
  }
  return t;
}

}  // namespace

void run_attention(const AttentionKernels& kernels, ThreadPool& pool, const AttentionCall& call) {
  const int64_t D = call.out.cols / call.heads;
  const Plan plan = make_plan(kernels, pool.size(), call);
  const int64_t scratch = kernels.scratch_floats(D);
  const auto [key_bytes, value_bytes] = kernels.packed_bytes(D);
  const int64_t head_bytes = plan.packed_positions * (key_bytes + value_bytes);
  const int64_t fitting = head_bytes == 0 ? call.heads : kPackedBytes / head_bytes;
  const int64_t group = std::clamp<int64_t>(fitting, 1, call.heads);
  std::byte* const memory = call_scratch(group * head_bytes);
  const int64_t key_part = plan.packed_positions * key_bytes;

  struct Chunk {
    size_t packed;
    int64_t first, last;  // positions
  };
  std::vector<Chunk> chunks;
  for (size_t i = 0; i < plan.packed.size(); ++i) {
    const PackedSequence& s = plan.packed[i];
    for (int64_t p = s.first; p < s.end; p += kPackedKeys) {
      chunks.push_back({i, std::max(p, s.needed), std::min(p + kPackedKeys, s.end)});
    }
  }

  for (int64_t first_head = 0; first_head < call.heads; first_head += group) {
    const int64_t heads = std::min(group, call.heads - first_head);
    const auto packed_head = [&](const PackedSequence& s, int64_t head) {
      std::byte* base = memory + (head - first_head) * head_bytes;
      return PackedHead{base + s.offset * key_bytes, base + key_part + s.offset * value_bytes,
                        s.first};
    };
    for_tasks(pool, static_cast<int64_t>(chunks.size()), plan.flops / kFlopsPerNanosecond,
              [&](int64_t index) {
                const Chunk& chunk = chunks[to_size(index)];
                const PackedSequence& s = plan.packed[chunk.packed];
                for (int64_t head = first_head; head < first_head + heads; ++head) {
                  AttentionTask t = head_task(call, s.sequence, head);
                  t.packed = packed_head(s, head);
                  kernels.pack(t, chunk.first, chunk.last, thread_scratch(scratch));
                }
              });
    const auto tasks = static_cast<int64_t>(plan.parts.size()) * heads;
    for_tasks(pool, tasks, plan.flops / kFlopsPerNanosecond, [&](int64_t index) {
      const Part& part = plan.parts[to_size(index / heads)];
      const int64_t head = first_head + index % heads;
      const int64_t row = call.starts[part.sequence] + part.first;
      AttentionTask t = head_task(call, part.sequence, head);
      t.queries = call.qkv.row<float>(row) + head * D;
      t.query_stride = call.qkv.stride;
      t.rows = part.rows;
      t.first_position = past_of(call, part.sequence) + part.first;
      if (part.packed >= 0) t.packed = packed_head(plan.packed[to_size(part.packed)], head);
      t.out = call.out.row<float>(row) + head * D;
      t.out_stride = call.out.stride;
      if (call.log_sums.data != nullptr) {
        t.log_sums = call.log_sums.row<float>(row) + head;
        t.log_sum_stride = call.log_sums.stride;
      }
      kernels.attend(t, thread_scratch(scratch));
    });
  }
}

}  // namespace ettin::cpu
