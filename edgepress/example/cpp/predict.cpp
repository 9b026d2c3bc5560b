// Answers pictures: predict MODEL IMAGE..., a line of JSON for each, as predict.py does.
//
// --threads N lets a run use N threads; --raw DIR writes what the model was given and gave for the
// first picture as DIR/0.image.npy and DIR/0.<output>.npy, for the second as DIR/1..., in a folder that is there.
// A model of objects inside boxes is asked about each `--box L,T,R,B`; what it gives of them is DIR/0.0..., DIR/0.1...

#include <fstream>
#include <iostream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

#include "answer.h"
#include "files.h"
#include "frame.h"
#include "json.h"
#include "model.h"
#include "windows.h"

constexpr bool kInside = settings::margin >= 0;
constexpr const char* kUsage = kInside ? "usage: predict [--threads N] [--raw DIR] --box L,T,R,B [--box ...] MODEL IMAGE..."
                                       : "usage: predict [--threads N] [--raw DIR] MODEL IMAGE...";

struct Arguments {
  int threads = 1;
  std::string raw;
  std::vector<Sides> boxes;
  std::string model;
  std::vector<std::string> images;
};

static int counted(const std::string& option, const std::string& word) {
  std::size_t end = 0;
  int value = 0;
  try {
    value = std::stoi(word, &end);
  } catch (const std::logic_error&) {  // no number, or one that is too large
  }
  if (value < 1 || end != word.size())
    throw std::invalid_argument(option + ": a whole number above 0, not " + word);
  return value;
}

static Arguments parsed(int count, char** words) {
  Arguments found;
  for (int i = 1; i < count; ++i) {
    const std::string word = words[i];
    if (word == "--threads" && i + 1 < count) {
      found.threads = counted(word, words[++i]);
    } else if (word == "--raw" && i + 1 < count) {
      found.raw = words[++i];
    } else if (kInside && word == "--box" && i + 1 < count) {
      found.boxes.push_back(sides(words[++i]));
    } else if (word.rfind("--", 0) == 0) {
      throw std::invalid_argument(word);
    } else if (found.model.empty()) {
      found.model = word;
    } else {
      found.images.push_back(word);
    }
  }
  if (found.images.empty()) throw std::invalid_argument("no image");
  if (kInside && found.boxes.empty()) throw std::invalid_argument("no box; --box L,T,R,B for each object");
  if (!kDecodes && found.raw.empty())
    throw std::invalid_argument("outputs of this task are not decoded here; --raw DIR writes them");
  return found;
}

static Bytes contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot be opened");
  return Bytes(std::istreambuf_iterator<char>(file), {});
}

// Write NumPy's format, version 1: a header that ends at a multiple of 64 bytes, then the numbers.
static void write(const std::string& path, const Numbers& numbers) {
  std::string shape;
  for (const std::int64_t side : numbers.shape) shape += std::to_string(side) + ",";
  std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (" + shape + ")}";
  header.append(63 - (10 + header.size()) % 64, ' ').append("\n");
  std::ofstream file(path, std::ios::binary);
  file.write("\x93NUMPY\x01\x00", 8);
  file.put(char(header.size() & 0xFF)).put(char(header.size() >> 8));
  file << header;
  file.write(reinterpret_cast<const char*>(numbers.values.data()),
             std::streamsize(numbers.values.size() * sizeof(float)));
  if (!file) throw std::runtime_error(path + ": cannot be written");
}

// What the model says of a picture, or of a part of one.
static std::string asked(Model& model, const Picture& picture, const Frame& frame, const std::string& raw) {
  Numbers input = normalised(fitted(picture, frame));
  const Outputs outputs = model.run(input);
  if (!raw.empty()) {
    write(raw + ".image.npy", input);
    for (const auto& [name, numbers] : outputs) write(raw + "." + name + ".npy", numbers);
  }
  return told(outputs, frame);
}

static std::string in_boxes(Model& model, const Picture& picture, const std::vector<Sides>& boxes,
                            const std::string& raw) {
  std::string objects;
  for (std::size_t i = 0; i < boxes.size(); ++i) {
    const Window window = around(boxes[i], picture);
    const Picture part = cut(picture, window);
    Frame frame = framed(part.width, part.height);
    frame.corner_x = window.left, frame.corner_y = window.top;
    std::string said = "\"error\": \"no answer\"";
    try {
      said = asked(model, part, frame, raw.empty() ? "" : raw + "." + std::to_string(i));
    } catch (const NoAnswer&) {  // of this object; the others may have one
    }
    objects += (objects.empty() ? "" : ", ") + std::string("{\"box\": [") + told(boxes[i]) + "], " + said + "}";
  }
  return "\"objects\": [" + objects + "]";
}

static std::string answer(Model& model, const std::string& path, const Arguments& arguments, const std::string& raw) {
  const Picture picture = decoded(contents(path));
  const std::string said = kInside ? in_boxes(model, picture, arguments.boxes, raw)
                                   : asked(model, picture, framed(picture.width, picture.height), raw);
  return "\"width\": " + std::to_string(picture.width) + ", \"height\": " + std::to_string(picture.height) +
         (said.empty() ? "" : ", ") + said + (raw.empty() ? "" : ", \"raw\": " + quoted(raw));
}

static int run(const Arguments& arguments) {
  Model model(arguments.model, arguments.threads);
  int bad = 0, index = 0;
  for (const std::string& path : arguments.images) {
    const std::string raw = arguments.raw.empty() ? "" : arguments.raw + "/" + std::to_string(index++);
    std::string found;
    try {
      found = answer(model, path, arguments, raw);
    } catch (const std::exception& error) {
      found = "\"error\": " + quoted(error.what());
      ++bad;
    }
    std::cout << "{\"image\": " << quoted(path) << ", " << found << "}" << std::endl;
  }
  return bad ? 2 : 0;
}

int main(int count, char** words) {
  try {
    return run(parsed(count, words));
  } catch (const std::invalid_argument& error) {
    std::cerr << "predict: " << error.what() << "\n" << kUsage << "\n";
  } catch (const std::exception& error) {
    std::cerr << "predict: " << error.what() << "\n";
  }
  return 2;
}
