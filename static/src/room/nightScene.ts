/**
 * What the stage shows where no video is: the view from a night train. Hills drift by at
 * three depths, with a few lit windows; the room's id decides colours and shapes. Calm on
 * purpose, the lines above it are the show.
 */
const FRAME_MS = 1000 / 30

interface Hills { depth: number; base: number; height: number; color: string; lights: number }

export function startNightScene(canvas: HTMLCanvasElement, seed: number): () => void {
  const pen = canvas.getContext('2d')
  if (!pen) return () => {}
  const still = window.matchMedia('(prefers-reduced-motion: reduce)')
  const hue = 205 + (seed % 7) * 10
  const hills: Hills[] = [
    { depth: 0.25, base: 0.7, height: 0.16, color: `hsl(${hue} 32% 17%)`, lights: 0 },
    { depth: 0.55, base: 0.81, height: 0.13, color: `hsl(${hue} 34% 12%)`, lights: 0.1 },
    { depth: 1, base: 0.93, height: 0.1, color: `hsl(${hue} 38% 7.5%)`, lights: 0.16 },
  ]
  let frame = 0
  let drawnAt = 0

  function draw(now: number): void {
    frame = still.matches ? 0 : requestAnimationFrame(draw)
    if (now - drawnAt < FRAME_MS) return
    drawnAt = now
    fit(canvas)
    paint(pen!, canvas.width, canvas.height, now / 1000, hue, seed, hills)
  }

  const restart = () => {
    cancelAnimationFrame(frame)
    drawnAt = 0
    frame = requestAnimationFrame(draw)
  }
  const resized = new ResizeObserver(restart)
  resized.observe(canvas)
  still.addEventListener('change', restart)
  return () => {
    cancelAnimationFrame(frame)
    resized.disconnect()
    still.removeEventListener('change', restart)
  }
}

function fit(canvas: HTMLCanvasElement): void {
  // Soft shapes need no retina pixels.
  const scale = Math.min(1, 960 / Math.max(1, canvas.clientWidth)) * Math.min(devicePixelRatio, 1.5)
  const width = Math.round(canvas.clientWidth * scale)
  const height = Math.round(canvas.clientHeight * scale)
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height })
}

function paint(pen: CanvasRenderingContext2D, width: number, height: number, s: number, hue: number, seed: number, hills: Hills[]): void {
  if (width === 0 || height === 0) return
  const sky = pen.createLinearGradient(0, 0, 0, height)
  sky.addColorStop(0, `hsl(${hue + 14} 42% 7%)`)
  sky.addColorStop(0.55, `hsl(${hue + 4} 36% 16%)`)
  sky.addColorStop(0.8, `hsl(${24 + (seed % 5) * 4} 34% 27%)`)
  pen.fillStyle = sky
  pen.fillRect(0, 0, width, height)
  stars(pen, width, height, s, seed)
  moon(pen, width, height, seed)
  for (const [layer, range] of hills.entries()) paintHills(pen, width, height, s, seed + layer * 31, range)
}

function stars(pen: CanvasRenderingContext2D, width: number, height: number, s: number, seed: number): void {
  pen.fillStyle = '#fff'
  for (let n = 0; n < 60; n++) {
    const twinkle = 0.5 + 0.5 * Math.sin(s * (0.4 + chance(seed, n, 3)) + n)
    pen.globalAlpha = 0.12 + 0.4 * twinkle * chance(seed, n, 4)
    const size = (0.6 + chance(seed, n, 5)) * Math.max(1, height / 480)
    pen.fillRect(chance(seed, n, 1) * width, chance(seed, n, 2) ** 1.4 * height * 0.6, size, size)
  }
  pen.globalAlpha = 1
}

function moon(pen: CanvasRenderingContext2D, width: number, height: number, seed: number): void {
  const x = width * (0.66 + 0.2 * chance(seed, 1, 9))
  const y = height * (0.2 + 0.08 * chance(seed, 2, 9))
  const r = height * 0.055
  const glow = pen.createRadialGradient(x, y, r * 0.6, x, y, r * 7)
  glow.addColorStop(0, 'rgb(255 205 140 / 30%)')
  glow.addColorStop(1, 'rgb(255 205 140 / 0%)')
  pen.fillStyle = glow
  pen.fillRect(x - r * 7, y - r * 7, r * 14, r * 14)
  pen.fillStyle = '#ffdcae'
  pen.beginPath()
  pen.arc(x, y, r, 0, Math.PI * 2)
  pen.fill()
}

function paintHills(pen: CanvasRenderingContext2D, width: number, height: number, s: number, seed: number, hills: Hills): void {
  const travelled = s * hills.depth * height * 0.055
  const ridge = (x: number) => (hills.base - hills.height * ridgeAt((x + travelled) / height / (0.5 + hills.depth), seed)) * height
  pen.fillStyle = hills.color
  pen.beginPath()
  pen.moveTo(0, height)
  const step = Math.max(4, width / 160)
  for (let x = 0; x <= width + step; x += step) pen.lineTo(x, ridge(x))
  pen.lineTo(width, height)
  pen.fill()
  // A window stands at every so many pixels of the land, if chance put one there.
  const plot = height * 0.07
  const size = Math.max(1.4, height * 0.0045 * (0.6 + hills.depth))
  for (let n = Math.floor(travelled / plot); n * plot < travelled + width; n++) {
    if (chance(seed, n, 7) >= hills.lights) continue
    const x = n * plot - travelled
    const y = ridge(x) + height * (0.018 + 0.05 * chance(seed, n, 8))
    const glow = pen.createRadialGradient(x, y, 0, x, y, size * 6)
    glow.addColorStop(0, 'rgb(255 180 84 / 34%)')
    glow.addColorStop(1, 'rgb(255 180 84 / 0%)')
    pen.fillStyle = glow
    pen.fillRect(x - size * 6, y - size * 6, size * 12, size * 12)
    pen.fillStyle = `rgb(255 196 120 / ${55 + 40 * chance(seed, n, 6)}%)`
    pen.fillRect(x - size / 2, y - size / 2, size, size * 1.3)
  }
}

function ridgeAt(x: number, seed: number): number {
  return 0.5 + 0.32 * Math.sin(x * 2.1 + seed) + 0.14 * Math.sin(x * 5.3 + seed * 2) + 0.05 * Math.sin(x * 13.7 + seed * 3)
}

/** The same number between 0 and 1 for the same place, always. */
function chance(seed: number, n: number, salt: number): number {
  const x = Math.sin(seed * 12.9898 + n * 78.233 + salt * 37.719) * 43758.5453
  return x - Math.floor(x)
}

/** A room's number for colours and shapes. */
export function seedOf(id: string): number {
  let seed = 7
  for (const c of id) seed = (seed * 31 + c.charCodeAt(0)) % 9973
  return seed
}
