//! Turns an image file that somebody sent into a cover. Pure, and slow: for a blocking
//! thread. Nothing of the file survives but its pixels; what it claims is checked before
//! memory is taken for it.

use std::io::Cursor;

use idl::{Code, Refusal};
use image::codecs::jpeg::JpegEncoder;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder as _, ImageFormat, ImageReader, Limits, RgbImage};

/// The largest file that is looked at.
pub(crate) const MAX_FILE_BYTES: usize = 2 << 20;

const COVER_WIDTH: u32 = 960;
const COVER_HEIGHT: u32 = 540;
const MAX_SIDE: u32 = 16_384;
const MAX_PIXELS: u64 = 40_000_000;
/// Decoded: all pixels at four bytes each. Deeper pictures may only have fewer pixels.
const MAX_DECODED_BYTES: u64 = 4 * MAX_PIXELS;
/// Each scan of a progressive JPEG goes over the whole picture; encoders make about ten.
const MAX_SCANS: usize = 32;
const QUALITY: u8 = 82;

/// A 960×540 JPEG of the image: its middle, as much of it as fits the shape.
///
/// # Errors
/// `unsupported-media-type` if the content is no JPEG, PNG or WebP file, `too-large` if
/// the file is, `invalid-field` if the image is damaged or has too many pixels.
pub(crate) fn cover(file: &[u8]) -> Result<Vec<u8>, Refusal> {
    let image = decode(file)?;
    let (x, y, width, height) = middle(image.width(), image.height());
    // Cropped first: a very long image must not be scaled to the other side's size.
    let image = image.crop_imm(x, y, width, height);
    let image = if width >= COVER_WIDTH {
        image.thumbnail_exact(COVER_WIDTH, COVER_HEIGHT)
    } else {
        image.resize_exact(COVER_WIDTH, COVER_HEIGHT, image::imageops::FilterType::CatmullRom)
    };
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, QUALITY)
        .encode_image(&on_white(&image))
        .map_err(|error| damaged(&error.to_string()))?;
    Ok(jpeg)
}

fn decode(file: &[u8]) -> Result<DynamicImage, Refusal> {
    if file.len() > MAX_FILE_BYTES {
        return Err(too_large());
    }
    let unsupported = || Refusal::new(Code::UnsupportedMedia, "the content is not a JPEG, PNG or WebP image");
    let format = image::guess_format(file).map_err(|_| unsupported())?;
    match format {
        ImageFormat::Jpeg => check_jpeg(file)?,
        ImageFormat::Png | ImageFormat::WebP => {}
        _ => return Err(unsupported()),
    }
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_DECODED_BYTES);
    let mut reader = ImageReader::with_format(Cursor::new(file), format);
    reader.limits(limits);
    let read_error = |error: image::ImageError| match error {
        image::ImageError::Limits(_) => too_many_pixels(),
        other => damaged(&other.to_string()),
    };
    let mut decoder = reader.into_decoder().map_err(read_error)?;
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    if pixels > MAX_PIXELS || decoder.total_bytes() > MAX_DECODED_BYTES {
        return Err(too_many_pixels());
    }
    if pixels == 0 {
        return Err(damaged("it has no pixels"));
    }
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut image = DynamicImage::from_decoder(decoder).map_err(read_error)?;
    image.apply_orientation(orientation);
    Ok(image)
}

pub(crate) fn too_large() -> Refusal {
    Refusal::new(Code::TooLarge, format!("a cover image has at most {} MiB", MAX_FILE_BYTES >> 20))
}

fn too_many_pixels() -> Refusal {
    let detail = format!("a cover image has at most {} megapixels", MAX_PIXELS / 1_000_000);
    Refusal::new(Code::InvalidField, detail)
}

pub(crate) fn damaged(why: &str) -> Refusal {
    let why: String = why.chars().take(200).collect();
    Refusal::new(Code::InvalidField, format!("the image can't be decoded: {why}"))
}

/// The largest rectangle of the cover's shape in the middle of an image.
fn middle(width: u32, height: u32) -> (u32, u32, u32, u32) {
    let (w, h) = (u64::from(width), u64::from(height));
    let (shape_w, shape_h) = (u64::from(COVER_WIDTH), u64::from(COVER_HEIGHT));
    let (cut_w, cut_h) = if w * shape_h > h * shape_w {
        ((h * shape_w / shape_h).max(1), h)
    } else {
        (w, (w * shape_h / shape_w).max(1))
    };
    let narrow = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
    (narrow((w - cut_w) / 2), narrow((h - cut_h) / 2), narrow(cut_w), narrow(cut_h))
}

/// JPEG has no transparency; what was transparent becomes white.
fn on_white(image: &DynamicImage) -> DynamicImage {
    if !image.color().has_alpha() {
        return DynamicImage::ImageRgb8(image.to_rgb8());
    }
    let rgba = image.to_rgba8();
    let mut rgb = RgbImage::new(rgba.width(), rgba.height());
    for (from, to) in rgba.pixels().zip(rgb.pixels_mut()) {
        let alpha = u16::from(from[3]);
        for channel in 0..3 {
            let blended = (u16::from(from[channel]) * alpha + 255 * (255 - alpha)) / 255;
            to[channel] = u8::try_from(blended).unwrap_or(u8::MAX);
        }
    }
    DynamicImage::ImageRgb8(rgb)
}

/// The decoder fills what is missing of a JPEG with grey, and goes over the picture as
/// often as the file has scans. So the file's markers are walked first: it must reach its
/// end, and not in too many scans.
fn check_jpeg(file: &[u8]) -> Result<(), Refusal> {
    const START_OF_SCAN: u8 = 0xDA;
    const END_OF_IMAGE: u8 = 0xD9;
    let cut_off = || damaged("the file ends too early");
    let mut at = 2; // after the start marker, which made it a JPEG
    let mut scans = 0;
    loop {
        // A marker is 0xFF, any number of fill bytes 0xFF, and a byte that is neither.
        // Entropy-coded data before it holds 0xFF only as 0xFF00 or as a restart marker.
        at += file.get(at..).and_then(|rest| rest.iter().position(|b| *b == 0xFF)).ok_or_else(cut_off)?;
        let marker = *file.get(at + 1).ok_or_else(cut_off)?;
        match marker {
            0xFF => at += 1,
            0x00 | 0x01 | 0xD0..=0xD7 => at += 2,
            END_OF_IMAGE => return if scans > 0 { Ok(()) } else { Err(damaged("it has no picture in it")) },
            _ => {
                if marker == START_OF_SCAN {
                    scans += 1;
                    if scans > MAX_SCANS {
                        return Err(damaged("it has too many scans"));
                    }
                }
                let length = file.get(at + 2..at + 4).ok_or_else(cut_off)?;
                at += 2 + usize::from(u16::from_be_bytes([length[0], length[1]])).max(2);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        image.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    fn noise(width: u32, height: u32) -> DynamicImage {
        let mut seed = 1_u32;
        DynamicImage::ImageRgb8(RgbImage::from_fn(width, height, |_, _| {
            image::Rgb(std::array::from_fn(|_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                seed.to_be_bytes()[0]
            }))
        }))
    }

    #[test]
    fn every_format_becomes_a_jpeg_of_the_cover_s_size() {
        for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP] {
            for (width, height) in [(1, 1), (16_000, 1), (1, 3_000), (1_200, 700), (300, 900)] {
                let jpeg = cover(&file(&DynamicImage::new_rgb8(width, height), format)).unwrap();
                let back = image::load_from_memory_with_format(&jpeg, ImageFormat::Jpeg).unwrap();
                assert_eq!((back.width(), back.height()), (960, 540), "{format:?} {width}x{height}");
            }
        }
    }

    #[test]
    fn the_middle_is_kept_and_transparency_is_white() {
        let mut wide = image::RgbaImage::from_pixel(3_000, 540, image::Rgba([255, 0, 0, 255]));
        for x in 1_020..1_980 {
            for y in 0..540 {
                wide.put_pixel(x, y, image::Rgba([0, 0, 255, if y < 270 { 255 } else { 0 }]));
            }
        }
        let jpeg = cover(&file(&DynamicImage::ImageRgba8(wide), ImageFormat::Png)).unwrap();
        let back = image::load_from_memory(&jpeg).unwrap().to_rgb8();
        let near = |x, y, want: [u8; 3]| back.get_pixel(x, y).0.iter().zip(want).all(|(a, b)| a.abs_diff(b) < 12);
        assert!(near(10, 100, [0, 0, 255]) && near(950, 100, [0, 0, 255]), "the red sides are cut off");
        assert!(near(480, 500, [255, 255, 255]), "what was transparent is white");
    }

    #[test]
    fn noise_is_a_small_enough_answer() {
        let jpeg = cover(&file(&noise(960, 540), ImageFormat::Jpeg)).unwrap();
        assert!(jpeg.len() < 1 << 20, "{} bytes", jpeg.len());
    }

    #[test]
    fn cut_off_files_are_damaged() {
        for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP] {
            let whole = file(&noise(200, 100), format);
            cover(&whole).unwrap();
            for keep in [whole.len() * 9 / 10, whole.len() / 2, 40] {
                let answer = cover(&whole[..keep]).map(|jpeg| jpeg.len());
                let code = answer.map_err(|refusal| refusal.code);
                assert_eq!(code, Err(Code::InvalidField), "{format:?} cut to {keep} bytes");
            }
        }
        let whole = file(&noise(200, 100), ImageFormat::Jpeg);
        assert!(cover(&whole[..whole.len() - 1]).is_err(), "a JPEG ends with its end marker");
    }

    #[test]
    fn what_is_no_image_is_not_supported() {
        let gif = b"GIF89a\x01\x00\x01\x00\x00\x00\x00;";
        for other in [&b""[..], b"hello, I am cover.jpg", b"<svg onload=alert(1)>", gif, b"BM1234", b"\0\0\0\0"] {
            assert_eq!(cover(other).unwrap_err().code, Code::UnsupportedMedia);
        }
    }

    #[test]
    fn a_bomb_is_refused_by_its_header() {
        // 16,000 × 16,000 of one colour: a quarter of a megabyte that would become 768 MB.
        let mut png = file(&DynamicImage::new_luma8(1, 1), ImageFormat::Png);
        png[16..24].copy_from_slice(&[0, 0, 0x3E, 0x80, 0, 0, 0x3E, 0x80]);
        let crc = crc32(&png[12..29]);
        png[29..33].copy_from_slice(&crc.to_be_bytes());
        let refusal = cover(&png).unwrap_err();
        assert!(refusal.detail.contains("megapixels"), "{}", refusal.detail);
        // A JPEG's header may claim 65,535 × 65,535.
        let mut jpeg = file(&DynamicImage::new_rgb8(8, 8), ImageFormat::Jpeg);
        let frame = jpeg.windows(2).position(|w| w[0] == 0xFF && matches!(w[1], 0xC0..=0xC2)).unwrap();
        jpeg[frame + 5..frame + 9].fill(0xFF);
        let refusal = cover(&jpeg).unwrap_err();
        assert!(refusal.detail.contains("megapixels"), "{}", refusal.detail);
    }

    fn crc32(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(u32::MAX, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { 0xEDB8_8320 ^ (crc >> 1) } else { crc >> 1 })
        })
    }

    proptest! {
        #[test]
        fn the_middle_lies_inside(width in 1..=MAX_SIDE, height in 1..=MAX_SIDE) {
            let (x, y, w, h) = middle(width, height);
            prop_assert!(w >= 1 && h >= 1 && x + w <= width && y + h <= height);
            prop_assert!(w == width || h == height, "as much as fits");
        }

        #[test]
        fn touched_files_never_panic(at in 0usize..2_000, to: u8, which in 0usize..3) {
            let format = [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP][which];
            let mut bytes = file(&noise(20, 20), format);
            let at = at % bytes.len();
            bytes[at] = to;
            let _ = decode(&bytes);
        }
    }
}
