// Pickles that must be refused: code, broken instructions, things that are not tensors.
#include "formats/test_torch_file.h"

namespace ettin::test {
namespace {

constexpr const char* kFile = "pytorch_model.bin";

HostileCase pickle_case(std::string name, std::string words, const std::string& pickle) {
  return {"pickle " + std::move(name),
          Reader::weights,
          kFile,
          std::move(words),
          {{kFile, make_zip(torch_items(pickle, {std::string(24, '\0')}))}}};
}
HostileCase raw_case(std::string name, std::string words, std::string_view after_proto) {
  return pickle_case(std::move(name), std::move(words), Pickle().proto().raw(after_proto).str());
}
// A call of module.name with a string: what an attacker writes.
HostileCase call_case(const std::string& module, const std::string& name) {
  return pickle_case("calls " + module + "." + name,
                     "refused to load " + module + "." + name + ": a model file may hold tensors",
                     Pickle().proto().global(module, name).text("id").raw("\x85R.").str());
}
HostileCase opcode_case(int opcode, const char* hex) {
  return pickle_case(std::string("instruction ") + hex, std::string("instruction ") + hex,
                     Pickle().proto().byte(opcode).raw(std::string(16, '.')).str());
}
// A state_dict with the one value that `value` leaves.
HostileCase value_case(std::string name, std::string words, const Pickle& value) {
  return pickle_case(std::move(name), std::move(words),
                     Pickle().proto().raw("}").text("a").raw(value.str()).raw("s.").str());
}

// A tensor whose parts can be replaced one by one.
struct Parts {
  std::string storage = Pickle().storage("FloatStorage", "0", 6).str();
  std::string offset = Pickle().integer(0).str();
  std::string shape = Pickle().integers({2, 3}).str();
  std::string strides = Pickle().integers({3, 1}).str();
  std::string hooks = Pickle().ordered_dict().str();
  std::string more;
};
HostileCase parts_case(std::string name, std::string words, const Parts& parts) {
  return value_case("tensor with " + std::move(name), std::move(words),
                    Pickle()
                        .global("torch._utils", "_rebuild_tensor_v2")
                        .raw("(")
                        .raw(parts.storage)
                        .raw(parts.offset)
                        .raw(parts.shape)
                        .raw(parts.strides)
                        .byte(0x89)
                        .raw(parts.hooks)
                        .raw(parts.more)
                        .raw("tR"));
}
HostileCase storage_case(std::string name, std::string words, const Pickle& storage) {
  Parts parts;
  parts.storage = storage.str();
  return parts_case(std::move(name), std::move(words), parts);
}

void add_calls(std::vector<HostileCase>* cases) {
  for (const auto& [module, name] : std::vector<std::pair<std::string, std::string>>{
           {"posix", "system"},
           {"os", "system"},
           {"nt", "system"},
           {"builtins", "eval"},
           {"builtins", "exec"},
           {"builtins", "getattr"},
           {"__builtin__", "apply"},
           {"subprocess", "Popen"},
           {"runpy", "_run_code"},
           {"importlib", "import_module"},
           {"pickle", "loads"},
           {"torch", "load"},
           {"torch.hub", "load"},
           {"torch.storage", "_load_from_bytes"},
           {"torch._utils", "_rebuild_tensor"},
           {"torch._utils", "_rebuild_tensor_v3"},
           {"torch._utils", "_rebuild_sparse_tensor"},
           {"torch._utils", "_rebuild_qtensor"},
           {"torch", "ComplexFloatStorage"},
           {"torch", "UntypedStorage"},
           {"collections", "Counter"},
           {"collections", "OrderedDict.fromkeys"},
           {"numpy.core.multiarray", "_reconstruct"},
           {"__torch__", "Model"},
           {"", ""},
       }) {
    cases->push_back(call_case(module, name));
  }
}

void add_opcodes(std::vector<HostileCase>* cases) {
  cases->insert(cases->end(),
                {opcode_case('i', "0x69"),  opcode_case('o', "0x6f"),  opcode_case('P', "0x50"),
                 opcode_case(0x82, "0x82"), opcode_case(0x83, "0x83"), opcode_case(0x84, "0x84"),
                 opcode_case(0x97, "0x97"), opcode_case(0x98, "0x98"), opcode_case('I', "0x49"),
                 opcode_case('L', "0x4c"),  opcode_case('S', "0x53"),  opcode_case('T', "0x54"),
                 opcode_case('U', "0x55"),  opcode_case('V', "0x56"),  opcode_case('F', "0x46"),
                 opcode_case('d', "0x64"),  opcode_case('l', "0x6c"),  opcode_case('g', "0x67"),
                 opcode_case('p', "0x70"),  opcode_case('2', "0x32"),  opcode_case(0x00, "0x00"),
                 opcode_case(0xff, "0xff")});
}

void add_broken(std::vector<HostileCase>* cases) {
  const std::vector<HostileCase> broken{
      pickle_case("empty", "without a STOP", ""),
      raw_case("no stop", "without a STOP", "}"),
      raw_case("bytes after the stop", "bytes follow", "}.x"),
      raw_case("nothing at the stop", "more than one", "."),
      raw_case("two values at the stop", "more than one", "}}."),
      raw_case("open mark at the stop", "more than one", "(}."),
      pickle_case("protocol 0", "protocol 0", Pickle().byte(0x80).byte(0).raw("}.").str()),
      pickle_case("protocol 1", "protocol 1", Pickle().byte(0x80).byte(1).raw("}.").str()),
      pickle_case("protocol 6", "protocol 6", Pickle().byte(0x80).byte(6).raw("}.").str()),
      pickle_case("second protocol", "protocol 2", Pickle().proto().proto().raw("}.").str()),
      raw_case("frame longer than the pickle", "a frame longer",
               "\x95\xff\xff\xff\xff\xff\xff\xff\x7f}."),
      raw_case("frame cut", "ends inside", "\x95\x01"),
      raw_case("string of 4 GiB", "ends inside", "X\xff\xff\xff\xff."),
      raw_case("string of 2^64-1 bytes", "ends inside", "\x8d\xff\xff\xff\xff\xff\xff\xff\xff."),
      raw_case("short string cut", "ends inside",
               "\x8c\x05"
               "ab"),
      raw_case("string not UTF-8", "not valid UTF-8", "\x8c\x01\xff."),
      raw_case("integer cut", "ends inside", "J\x01"),
      raw_case("long of 9 bytes", "beyond 64 bits",
               "\x8a\x09"
               "123456789."),
      raw_case("long of 255 bytes", "ends inside", "\x8a\xff."),
      raw_case("long of 2^31 bytes", "ends inside", std::string("\x8b\0\0\0\x80.", 6)),
      raw_case("bytes of 4 GiB", "ends inside", "B\xff\xff\xff\xff."),
      raw_case("bytes of 2^64-1", "ends inside", "\x8e\xff\xff\xff\xff\xff\xff\xff\xff."),
      raw_case("bytearray cut", "ends inside", std::string("\x96\x02\0\0\0\0\0\0\0.", 10)),
      raw_case("set without a mark", "needs a mark", "\x8f\x90."),
      raw_case("items of a set that is a list", "not a set", "](N\x90."),
      raw_case("object of nothing", "more values", ")\x81."),
      raw_case("object with keywords of nothing", "more values", ")}\x92."),
      raw_case("object of a storage type", "a call of torch.FloatStorage",
               "ctorch\nFloatStorage\n)\x81."),
      raw_case("object without a tuple", "without a tuple", "cos\nsystem\nN\x81."),
      raw_case("float cut", "ends inside", "G123"),
      raw_case("name without a newline", "ends inside", "cposix"),
      raw_case("name without a second newline", "ends inside", "cposix\nsystem"),
      raw_case("tuple without a mark", "needs a mark", "t."),
      raw_case("items without a mark", "needs a mark", "}u."),
      raw_case("appends without a mark", "needs a mark", "]e."),
      raw_case("pop to a missing mark", "needs a mark", "1."),
      raw_case("pop of an empty stack", "more values", "0."),
      raw_case("pop below a mark", "more values", "}(0."),
      raw_case("pair of one", "more values", "N\x86."),
      raw_case("triple of two", "more values", "NN\x87."),
      raw_case("call of nothing", "more values", "R."),
      raw_case("build of nothing", "more values", "b."),
      raw_case("storage of nothing", "more values", "Q."),
      raw_case("memo of nothing", "more values", "q\x01."),
      raw_case("memo entry missing", "memo entry 7", "h\x07."),
      raw_case("memo entry 2^32-1 missing", "memo entry 4294967295", "j\xff\xff\xff\xff."),
      raw_case("memo get cut", "ends inside", "j\xff"),
      raw_case("odd items", "without a value", "}(Nu."),
      raw_case("items of a list", "not a dictionary", "](NNu."),
      raw_case("item of None", "not a dictionary", "NNNs."),
      raw_case("append to a dictionary", "not a list", "}Na."),
      raw_case("appends to None", "not a list", "N(Ne."),
      raw_case("stack name of numbers", "not a string", "K\x01K\x02\x93."),
      raw_case("stack name posix.system", "refused to load posix.system",
               "\x8c\x05posix\x8c\x06system\x93."),
      raw_case("call of a dictionary", "not a function", "})R."),
      raw_case("call with a list", "without a tuple", "ccollections\nOrderedDict\n]R."),
      raw_case("dictionary with arguments", "OrderedDict with arguments",
               "ccollections\nOrderedDict\nN\x85R."),
      raw_case("call of a storage type", "a call of torch.FloatStorage",
               "ctorch\nFloatStorage\n)R."),
      raw_case("state for a plain dictionary", "state for a dictionary", "}}b."),
      raw_case("state for a list", "state for a list", "]}b."),
      raw_case("state that is a tuple", "state for a dictionary",
               "ccollections\nOrderedDict\n)R)b."),
      raw_case("attribute of a dictionary", "an attribute of",
               "ccollections\nOrderedDict\n)R}\x8c\x05itemsNsb."),
      raw_case("two thousand marks", "too many marks", std::string(2000, '(')),
      raw_case("a million values", "too many values", std::string(1'000'001, '}')),
      raw_case("a million objects", "too many values",
               [] {
                 std::string out = "\x8c\x02os\x94\x8c\x06system\x94";
                 std::string one("h\0h\1\x93", 5);
                 for (int i = 0; i < 1'000'001; ++i) out += one;
                 return out;
               }()),
  };
  cases->insert(cases->end(), broken.begin(), broken.end());
}

void add_values(std::vector<HostileCase>* cases) {
  Parts no_storage, bad_offset, negative_offset, shape_list, negative_shape, float_shape, rank_9,
      rank_differs, hooks, metadata, extra, tensor_offset;
  no_storage.storage = "N";
  bad_offset.offset = "N";
  negative_offset.offset = Pickle().integer(-1).str();
  tensor_offset.offset = "\x88";
  shape_list.shape = "]";
  negative_shape.shape = Pickle().integers({-2, 3}).str();
  float_shape.shape = "G12345678G12345678\x86";
  rank_9.shape = rank_9.strides = Pickle().integers({1, 1, 1, 1, 1, 1, 1, 1, 1}).str();
  rank_differs.strides = Pickle().integers({1}).str();
  hooks.hooks = "}K\x01Ns";
  metadata.more = "}\x8c\x06is_negNs";
  extra.more = "NN";
  const auto id = [](std::string_view raw) { return Pickle().raw(raw); };
  const std::string tag = "(\x8c\x07storage";
  const std::string type = "ctorch\nFloatStorage\n";
  Pickle twice, number_key, empty_key;
  twice.proto().raw("}(").text("a");
  add_tensor(&twice, {});
  twice.text("a");
  add_tensor(&twice, {});
  number_key.proto().raw("}K\x01");
  add_tensor(&number_key, {});
  empty_key.proto().raw("}").text("");
  add_tensor(&empty_key, {});
  const std::vector<HostileCase> values{
      parts_case("no storage", "without a storage", no_storage),
      parts_case("offset None", "without an offset", bad_offset),
      parts_case("offset -1", "without an offset", negative_offset),
      parts_case("offset True", "without an offset", tensor_offset),
      parts_case("shape a list", "shape of a tensor is no tuple", shape_list),
      parts_case("negative shape", "something else than a size", negative_shape),
      parts_case("float shape", "something else than a size", float_shape),
      parts_case("rank 9", "at most 8", rank_9),
      parts_case("one stride for two dimensions", "more strides", rank_differs),
      parts_case("backward hooks", "hooks or metadata", hooks),
      parts_case("negation bit", "hooks or metadata", metadata),
      parts_case("eight arguments", "argument count", extra),
      storage_case("id a string", "not a storage", id("\x8c\x01xQ")),
      storage_case("id of four parts", "not a storage",
                   id(tag + type +
                      "\x8c\x01"
                      "0\x8c\x03"
                      "cputQ")),
      storage_case("id of another kind", "not a storage",
                   id("(\x8c\x06module" + type +
                      "\x8c\x01"
                      "0\x8c\x03"
                      "cpuK\x06tQ")),
      storage_case("type a string", "not a storage",
                   id(tag + "\x8c\x01x\x8c\x01"
                            "0\x8c\x03"
                            "cpuK\x06tQ")),
      storage_case("type a function", "not a storage",
                   id(tag + "ccollections\nOrderedDict\n\x8c\x01"
                            "0\x8c\x03"
                            "cpuK\x06tQ")),
      storage_case("key a number", "not a storage",
                   id(tag + type +
                      "K\x01\x8c\x03"
                      "cpuK\x06tQ")),
      storage_case("negative size", "not a storage", Pickle().storage("FloatStorage", "0", -1)),
      storage_case("key of a parent folder", "refused key",
                   Pickle().storage("FloatStorage", "../data.pkl", 6)),
      storage_case("key with a slash", "refused key", Pickle().storage("FloatStorage", "0/1", 6)),
      storage_case("empty key", "refused key", Pickle().storage("FloatStorage", "", 6)),
      value_case("value None", "is None, not a tensor", id("N")),
      value_case("value a number", "is an integer, not a tensor", id("K\x07")),
      value_case("value a dictionary", "is a dictionary, not a tensor", id("}")),
      value_case("value a storage", "is a storage, not a tensor",
                 Pickle().storage("FloatStorage", "0", 6)),
      value_case("value a function", "is a function, not a tensor", id(type)),
      value_case("parameter without a tensor", "parameter without",
                 id("ctorch._utils\n_rebuild_parameter\nN\x88N\x87R")),
      value_case("parameter with one argument", "parameter without",
                 id("ctorch._utils\n_rebuild_parameter\nN\x85R")),
      raw_case("root a list", "holds a list", "]."),
      raw_case("root a tuple in itself", "holds a list",
               "]q\x01h\x01"
               "a."),
      raw_case("dictionary in itself", "a tensor name is a dictionary", "}q\x01h\x01h\x01s."),
      pickle_case("the same tensor name twice", "occurs twice", twice.raw("u.").str()),
      pickle_case("name a number", "a tensor name is an integer", number_key.raw("s.").str()),
      pickle_case("empty name", "refused tensor name", empty_key.raw("s.").str()),
  };
  cases->insert(cases->end(), values.begin(), values.end());
}

// Inside state.model nothing is taken that a state_dict may not have, whatever lies beside it.
void add_checkpoints(std::vector<HostileCase>* cases) {
  const auto add = [&](const std::string& name, const std::string& words, std::string_view value) {
    cases->push_back(pickle_case("checkpoint with " + name, words,
                                 composer_pickle({}, Pickle().text("x").raw(value).str())));
  };
  const auto root = [&](const std::string& name, const std::string& words, std::string_view raw) {
    cases->push_back(raw_case("checkpoint with " + name, words, raw));
  };
  add("a call", "state.model: refused to load os.system", "cos\nsystem\n\x8c\x02id\x85R");
  add("a name", "state.model: refused to load os.system", "cos\nsystem\n");
  add("a stacked name", "state.model: refused to load os.system", "\x8c\x02os\x8c\x06system\x93");
  add("an object", "refused to load os.Popen", "cos\nPopen\n)\x81");
  add("an object with state", "refused to load os.Popen", "cos\nPopen\n)\x81}b");
  add("an object of keywords", "refused to load os.Popen", "cos\nPopen\n)}\x92");
  add("a call of a result", "refused to load os.f", "cos\nf\n)R)R)R");
  add("a dictionary that is none", "refused to load a.defaultdict",
      "ca\ndefaultdict\n)R(\x8c\x01k\x8c\x01vu");
  add("a list that is none", "refused to load a.deque", "ca\ndeque\n)R(NNe");
  add("bytes", "refused to load bytes", "C\x02zz");
  add("a set", "refused to load a set", "\x8f(N\x90");
  add("a frozen set", "refused to load a set", "(N\x91");
  add("a long of 9 bytes", "beyond 64 bits",
      "\x8a\x09"
      "123456789");
  add("text that is not UTF-8", "not valid UTF-8", "\x8c\x01\xff");
  add("a tensor on an unknown storage", "refused to load torch.Quantized",
      "ctorch._utils\n_rebuild_tensor_v2\n((\x8c\x07storagectorch\nQuantized\n"
      "\x8c\x01"
      "0\x8c\x03"
      "cpuK\x06tQK\x01))\x89NtR");
  add("a parameter that is a call", "refused to load os.f",
      "ctorch._utils\n_rebuild_parameter\ncos\nf\n)R\x88N\x87R");
  add("a number", "\"x\" is an integer, not a tensor", "K\x07");
  add("a dictionary", "\"x\" is a dictionary, not a tensor", "}");
  root("a model that is a call", "\"state\" is a dictionary, not a tensor",
       "}\x8c\x05state}\x8c\x05modelcos\nf\n)Rss.");
  root("a state that is a call", "refused to load os.f", "}\x8c\x05statecos\nf\n)Rs.");
  root("a model that is itself", "\"state\" is a dictionary, not a tensor",
       "}q\x01\x8c\x05stateh\x01s.");
  root("a name that is a call", "refused to load os.f",
       "}\x8c\x05state}\x8c\x05model}cos\nf\n)RNsss.");
  // The limits hold outside of the model too.
  root("two thousand marks", "too many marks", "}\x8c\x03rng" + std::string(2000, '('));
  root("an instruction that no pickler writes", "instruction 0x69", "}\x8c\x03rngios\nsystem\n.");
  SavedTensor one, other;
  one.name = "model.bert.final_norm.weight";
  other.name = "bert.final_norm.weight";
  cases->push_back(pickle_case("checkpoint with two names that become one", "would both be",
                               composer_pickle({one, other}, "")));
}

}  // namespace

std::vector<HostileCase> hostile_pickles() {
  std::vector<HostileCase> cases;
  add_calls(&cases);
  add_opcodes(&cases);
  add_broken(&cases);
  add_values(&cases);
  add_checkpoints(&cases);
  return cases;
}

}  // namespace ettin::test
