// What a timed case says about itself: the keys of its JSON line that go beyond the time, and its
// row in the table for people.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "base/json.h"
#include "bench_cases.h"
#include "console.h"
#include "ettin/ettin.h"
#include "peak_probe.h"

namespace ettin::cli {

double rounded(double ms);  // to microseconds

// "32m" for the published shapes, else the name of the folder.
std::string size_name(const ModelInfo& info);

// The least that a case must do, for its floor. Both 0: nothing to compare with.
struct Work {
  double flop = 0;
  double bytes = 0;      // read at least once
  double set_bytes = 0;  // of these, how many lie between two readings of the same byte
};
// head_rows: vocabulary positions of each sequence; -1: all.
Work work_of(const Model& model, const BenchCase& c, int head_rows);

// machine, cores, isa, commit.
void add_provenance(const Model& model, Json* line);

// The same of a backend alone.
void add_machine(const Backend& backend, Json* line);

// Of work that arithmetic alone bounds: gflop, floor_ms, of_floor, of_floor_median, the peaks.
void add_arithmetic_floor(double flop, WeightFormat format, std::span<const Peak> before,
                          std::span<const Peak> after, Json* line);

// floor_ms, floor_by, of_floor, of_floor_median, and the peaks themselves.
void add_floor(const Model& model, const Work& work, bool exact_activations,
               std::span<const Peak> before, std::span<const Peak> after, Json* line);

std::string table_head(const Console& console);
std::string table_row(const Console& console, const Json& line);
// One line for all peaks of a run, the best of each.
std::string peak_summary(std::span<const Peak> peaks);

}  // namespace ettin::cli
