// config.json and the graph of an ONNX file say many things twice; here they are compared.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "formats/graph_facts.h"
#include "model/config.h"

namespace ettin {

// Sizes, kind, activation and epsilon must agree: an error names both. Which layers are local,
// their windows, the rope thetas and what stands on top are taken from the graph, because that is
// what the file computes; where config.json says otherwise a remark is appended to *warnings.
// nullptr changes nothing.
Status follow_graph(const GraphFacts* graph, ModelConfig* config,
                    std::vector<std::string>* warnings);

// The same, and what was taken from the graph is written into *json, a config.json to be.
Status follow_graph(const GraphFacts* graph, ModelConfig* config, Json* json,
                    std::vector<std::string>* warnings);

}  // namespace ettin
