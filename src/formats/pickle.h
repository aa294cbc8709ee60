// A pickle read as data: the opcodes that Python's pickler writes build numbers, strings, tuples,
// lists, dictionaries and descriptions of tensors. Nothing is called. A class or function outside a
// closed list, and whatever is made with it, becomes an opaque value: it is carried along so that
// what stands beside it can be read, and refused by its name where a tensor should be.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "ettin/status.h"
#include "formats/pickle_value.h"

namespace ettin {

// `where` names the file in messages. The values refer to the bytes of the pickle.
Result<pickle::Document> read_pickle(std::span<const std::byte> bytes, std::string_view where);

// "os.system", "bytes": what an opaque value stands for.
std::string opaque_name(const pickle::Document& document, const pickle::Value& value);

}  // namespace ettin
