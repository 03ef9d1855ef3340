/** A picture of one colour, as small as PNG allows. */
import { crc32, deflateSync } from 'node:zlib'

export function png(width, height, [red, green, blue]) {
  const header = Buffer.from([...u32(width), ...u32(height), 8, 2, 0, 0, 0])
  const row = Buffer.concat([Buffer.from([0]), ...Array.from({ length: width }, () => Buffer.from([red, green, blue]))])
  const rows = Buffer.concat(Array.from({ length: height }, () => row))
  return Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), chunk('IHDR', header), chunk('IDAT', deflateSync(rows)), chunk('IEND', Buffer.alloc(0))])
}

function chunk(name, data) {
  const named = Buffer.concat([Buffer.from(name, 'latin1'), data])
  return Buffer.concat([Buffer.from(u32(data.length)), named, Buffer.from(u32(crc32(named)))])
}

function u32(n) {
  return [n >>> 24, (n >>> 16) & 255, (n >>> 8) & 255, n & 255]
}
