// The model in ONNX Runtime, from a picture of the input's size to named numbers.
#pragma once

#include <array>
#include <cmath>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include <onnxruntime_cxx_api.h>

#include "picture.h"
#include "settings.h"

struct Numbers {
  std::vector<std::int64_t> shape;
  std::vector<float> values;
};

using Outputs = std::map<std::string, Numbers>;

struct NoAnswer : std::runtime_error {
  NoAnswer() : std::runtime_error("no answer: an output is not finite") {}
};

inline void expect_finite(const Outputs& outputs) {
  for (const auto& [name, numbers] : outputs)
    for (const float each : numbers.values)
      if (!std::isfinite(each)) throw NoAnswer();
}

// Levels of 8 bits [H, W, C] as the network takes them, [1, C, H, W].
inline Numbers normalised(const Picture& picture) {
  const std::size_t size = std::size_t(settings::width) * settings::height;
  Numbers to{{1, settings::channels, settings::height, settings::width},
             std::vector<float>(size * settings::channels)};
  for (int c = 0; c < settings::channels; ++c) {
    std::array<float, 256> levels;
    for (int i = 0; i < 256; ++i)
      levels[i] = float((i / 255.0 - settings::mean[c]) / settings::deviation[c]);
    for (std::size_t i = 0; i < size; ++i)
      to.values[c * size + i] = levels[picture.pixels[i * settings::channels + c]];
  }
  return to;
}

template <class Type>
std::vector<float> as_floats(const Ort::Value& from, std::size_t count) {
  const Type* values = from.GetTensorData<Type>();
  return std::vector<float>(values, values + count);
}

inline Numbers numbers(const Ort::Value& from) {
  const auto info = from.GetTensorTypeAndShapeInfo();
  const std::size_t count = info.GetElementCount();
  switch (info.GetElementType()) {
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT: return {info.GetShape(), as_floats<float>(from, count)};
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8: return {info.GetShape(), as_floats<std::uint8_t>(from, count)};
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8: return {info.GetShape(), as_floats<std::int8_t>(from, count)};
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32: return {info.GetShape(), as_floats<std::int32_t>(from, count)};
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64: return {info.GetShape(), as_floats<std::int64_t>(from, count)};
    default: throw std::runtime_error("an output is of a type that is not read here");
  }
}

class Model {
 public:
  Model(const std::string& path, int threads)
      : environment_(ORT_LOGGING_LEVEL_ERROR, "predict"),
        session_(environment_, path.c_str(), options(threads)) {}

  Outputs run(Numbers& input) {
    auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
    auto given = Ort::Value::CreateTensor<float>(memory, input.values.data(), input.values.size(),
                                                 input.shape.data(), input.shape.size());
    const char* const names[] = {settings::input};
    std::vector<const char*> stored;
    for (const auto& each : settings::outputs) stored.push_back(each.stored);
    const auto found = session_.Run(Ort::RunOptions{nullptr}, names, &given, 1, stored.data(), stored.size());
    Outputs outputs;
    for (std::size_t i = 0; i < found.size(); ++i)
      outputs[settings::outputs[i].name] = numbers(found[i]);
    return outputs;
  }

 private:
  static Ort::SessionOptions options(int threads) {
    Ort::SessionOptions made;
    made.SetIntraOpNumThreads(threads);
    made.SetInterOpNumThreads(1);
    return made;
  }

  Ort::Env environment_;
  Ort::Session session_;
};
