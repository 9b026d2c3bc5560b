// From the bytes of a JPEG or PNG to one upright picture of 8 bits, by libjpeg and libpng.
//
// Kept as they are: grey and RGB. Converted: grey of 16 bits over its whole range, other PNGs of 16
// bits by the high byte, palettes by their colours, alpha over white, CMYK and YCCK by the plain
// formula without colour profiles. Turned as the EXIF orientation of either format says; one that is
// written in XMP alone is not read.
#pragma once

#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <string>

#include <jpeglib.h>
#include <jerror.h>
#include <png.h>

#include "picture.h"

constexpr std::uint64_t kMostPixels = std::uint64_t(1) << 26;  // 64 bits: the product is of any two sides

// Both libraries end a call they cannot go on with by a jump back to where it was guarded.
struct Failure {
  std::jmp_buf back;
  char said[JMSG_LENGTH_MAX] = "";
};

template <class Step>
void guarded(Failure& failure, Step step) {
  if (setjmp(failure.back)) throw std::runtime_error(std::string("corrupt: ") + failure.said);
  step();
}

inline void expect_size(std::uint64_t width, std::uint64_t height) {
  if (width * height > kMostPixels)
    throw std::runtime_error("too large: " + std::to_string(width) + " x " + std::to_string(height) +
                             " is more than " + std::to_string(kMostPixels) + " pixels");
}

// Orientation of an EXIF block, 1 where it has none.
inline int orientation(const std::uint8_t* exif, std::size_t size) {
  if (size >= 6 && std::memcmp(exif, "Exif\0\0", 6) == 0) exif += 6, size -= 6;
  if (size < 8) return 1;
  const bool big = exif[0] == 'M';
  const auto number = [&](std::size_t place, int bytes) {
    std::size_t value = 0;
    for (int i = 0; i < bytes; ++i)
      value |= std::size_t(exif[place + i]) << 8 * (big ? bytes - 1 - i : i);
    return value;
  };
  const std::size_t start = number(4, 4);
  if (start > size - 2) return 1;
  std::size_t entry = start + 2;
  for (std::size_t left = number(start, 2); left > 0 && entry + 12 <= size; --left, entry += 12) {
    const std::size_t kind = number(entry + 2, 2);
    if (number(entry, 2) != 0x0112 || number(entry + 4, 4) != 1) continue;
    if (kind != 1 && kind != 3 && kind != 4) continue;
    const std::size_t value = number(entry + 8, kind == 3 ? 2 : int(kind));  // byte, short or long
    return value >= 1 && value <= 8 ? int(value) : 1;
  }
  return 1;
}

class Jpeg {
 public:
  explicit Jpeg(const Bytes& data) : data_(data) {
    info_.err = jpeg_std_error(&errors_);
    info_.client_data = &failure_;
    errors_.error_exit = failed;
    errors_.emit_message = warned;
  }
  Jpeg(const Jpeg&) = delete;
  ~Jpeg() { jpeg_destroy_decompress(&info_); }

  Picture read() {
    guarded(failure_, [&] {
      jpeg_create_decompress(&info_);
      jpeg_save_markers(&info_, JPEG_APP0 + 1, 0xFFFF);
      jpeg_mem_src(&info_, data_.data(), data_.size());
      jpeg_read_header(&info_, TRUE);
    });
    expect_size(info_.image_width, info_.image_height);
    const bool printed = info_.num_components == 4, grey = info_.num_components == 1;
    info_.out_color_space = printed ? JCS_CMYK : grey ? JCS_GRAYSCALE : JCS_RGB;
    Picture picture(info_.image_width, info_.image_height, printed ? 4 : grey ? 1 : 3);
    guarded(failure_, [&] {
      jpeg_start_decompress(&info_);
      while (info_.output_scanline < info_.output_height) {
        JSAMPROW row = picture.at(0, info_.output_scanline);
        jpeg_read_scanlines(&info_, &row, 1);
      }
    });
    return upright(printed ? from_cmyk(picture) : picture, turn());
  }

 private:
  static void failed(j_common_ptr info) {
    Failure* failure = static_cast<Failure*>(info->client_data);
    info->err->format_message(info, failure->said);
    std::longjmp(failure->back, 1);
  }
  // libjpeg makes up what a cut-off file lacks and only warns.
  static void warned(j_common_ptr info, int level) {
    if (level < 0 && info->err->msg_code == JWRN_JPEG_EOF) failed(info);
  }

  int turn() const {
    for (auto* each = info_.marker_list; each != nullptr; each = each->next)
      if (each->data_length > 6 && std::memcmp(each->data, "Exif\0\0", 6) == 0)
        return orientation(each->data, each->data_length);
    return 1;
  }

  Picture from_cmyk(const Picture& from) const {
    Picture to(from.width, from.height, 3);
    const int inverted = info_.saw_Adobe_marker ? 0 : 255;  // Adobe's files hold 255 less the ink
    for (std::size_t i = 0; i < to.pixels.size() / 3; ++i) {
      const std::uint8_t* inks = &from.pixels[i * 4];
      const int light = inks[3] ^ inverted;
      for (int c = 0; c < 3; ++c) {
        const int ink = 255 - (inks[c] ^ inverted);
        to.pixels[i * 3 + c] = std::uint8_t(light - divided(ink * light));
      }
    }
    return to;
  }

  const Bytes& data_;
  Failure failure_;
  jpeg_error_mgr errors_{};
  jpeg_decompress_struct info_{};
};

class Png {
 public:
  explicit Png(const Bytes& data) : data_(data) {
    png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, &failure_, failed, warned);
    info_ = png_create_info_struct(png_);
    png_set_read_fn(png_, this, taken);
  }
  Png(const Png&) = delete;
  ~Png() { png_destroy_read_struct(&png_, &info_, nullptr); }

  Picture read() {
    guarded(failure_, [&] { png_read_info(png_, info_); });
    const int width = png_get_image_width(png_, info_), height = png_get_image_height(png_, info_);
    expect_size(width, height);
    const bool deep = png_get_bit_depth(png_, info_) == 16 &&
                      png_get_color_type(png_, info_) == PNG_COLOR_TYPE_GRAY;
    guarded(failure_, [&] {
      if (!deep) ask_for_8_bits();
      passes_ = png_set_interlace_handling(png_);
      png_read_update_info(png_, info_);
    });
    Picture picture(width, height, deep ? 2 : png_get_channels(png_, info_));
    guarded(failure_, [&] {
      for (int pass = 0; pass < passes_; ++pass)
        for (int y = 0; y < height; ++y) png_read_row(png_, picture.at(0, y), nullptr);
      png_read_end(png_, info_);
    });
    if (deep) picture = from_16_bits(picture);
    if (picture.channels % 2 == 0) picture = over_white(picture);
    return upright(picture, turn());
  }

 private:
  static void failed(png_structp png, png_const_charp said) {
    Failure* failure = static_cast<Failure*>(png_get_error_ptr(png));
    std::snprintf(failure->said, sizeof failure->said, "%s", said);
    std::longjmp(failure->back, 1);
  }
  static void warned(png_structp, png_const_charp) {}
  static void taken(png_structp png, png_bytep out, std::size_t count) {
    Png* self = static_cast<Png*>(png_get_io_ptr(png));
    if (count > self->data_.size() - self->place_) png_error(png, "the file ends too early");
    std::memcpy(out, self->data_.data() + self->place_, count);
    self->place_ += count;
  }

  void ask_for_8_bits() {
    png_set_strip_16(png_);
    png_set_expand(png_);  // palettes to RGB, few bits to 8, a transparent colour to alpha
  }

  // Pairs of bytes, the high one first, to levels of 8 bits; the transparent level is white.
  Picture from_16_bits(const Picture& from) const {
    png_color_16p transparent = nullptr;
    png_get_tRNS(png_, info_, nullptr, nullptr, &transparent);
    Picture to(from.width, from.height, 1);
    for (std::size_t i = 0; i < to.pixels.size(); ++i) {
      const int value = from.pixels[2 * i] << 8 | from.pixels[2 * i + 1];
      const bool white = transparent != nullptr && transparent->gray == value;
      to.pixels[i] = white ? 255 : std::uint8_t((value + 128) / 257);
    }
    return to;
  }

  int turn() const {
    png_bytep exif = nullptr;
    png_uint_32 size = 0;
    return png_get_eXIf_1(png_, info_, &size, &exif) ? orientation(exif, size) : 1;
  }

  const Bytes& data_;
  std::size_t place_ = 0;
  int passes_ = 1;
  Failure failure_;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
};

// Decode a file's bytes; what is no JPEG or PNG, is damaged or too large is a std::runtime_error.
inline Picture decoded(const Bytes& data) {
  if (data.size() > 2 && data[0] == 0xFF && data[1] == 0xD8) return Jpeg(data).read();
  if (data.size() > 8 && png_sig_cmp(data.data(), 0, 8) == 0) return Png(data).read();
  throw std::runtime_error("not an image: neither JPEG nor PNG");
}
