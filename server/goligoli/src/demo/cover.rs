//! The cover of the demo's room: the night outside, before sunrise.

use std::io::Cursor;

use image::{ImageFormat, Rgb, RgbImage};

/// The size that covers are kept in.
const WIDTH: u32 = 960;
const HEIGHT: u32 = 540;
const ZENITH: [f32; 3] = [8.0, 12.0, 38.0];
const HORIZON: [f32; 3] = [196.0, 112.0, 96.0];
const MOUNTAINS: [u8; 3] = [10, 10, 22];

/// Draws it, as a PNG file.
pub(crate) fn png() -> image::ImageResult<Vec<u8>> {
    let mut file = Cursor::new(Vec::new());
    RgbImage::from_fn(WIDTH, HEIGHT, pixel).write_to(&mut file, ImageFormat::Png)?;
    Ok(file.into_inner())
}

#[expect(clippy::cast_precision_loss, reason = "an image's coordinates are small")]
fn pixel(x: u32, y: u32) -> Rgb<u8> {
    let (across, down) = (x as f32 / WIDTH as f32, y as f32 / HEIGHT as f32);
    if down > ridge(across) {
        return Rgb(MOUNTAINS);
    }
    if is_star(x, y) {
        return Rgb([226, 230, 255]);
    }
    // The glow lies low.
    let glow = down.powi(3);
    let mix = |channel: usize| ZENITH[channel] + (HORIZON[channel] - ZENITH[channel]) * glow;
    Rgb([mix(0), mix(1), mix(2)].map(byte))
}

/// How far down the mountains begin: three waves, one upon the other.
fn ridge(across: f32) -> f32 {
    0.8 - 0.07 * (across * 5.0 + 0.6).sin() - 0.03 * (across * 17.0).sin() - 0.008 * (across * 61.0).sin()
}

/// A few pixels of the upper sky, without any pattern that an eye would find.
const fn is_star(x: u32, y: u32) -> bool {
    let mut hash = x.wrapping_mul(0x9E37_79B1) ^ y.wrapping_mul(0x85EB_CA77);
    hash = (hash ^ (hash >> 15)).wrapping_mul(0x2C1B_3C6D);
    hash = (hash ^ (hash >> 12)).wrapping_mul(0x297A_2D39);
    y < HEIGHT / 2 && (hash ^ (hash >> 15)).is_multiple_of(1_400)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to a byte")]
fn byte(value: f32) -> u8 {
    value.clamp(0.0, 255.0) as u8
}
