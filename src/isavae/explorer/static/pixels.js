// Pixels on canvases. Images come as bytes, rows of pixels of 1 or 3 channels.

export function unpack(base64) {
  const text = atob(base64);
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

export function paint(canvas, pixels, [channels, height, width]) {
  draw(canvas, height, width, (data) => {
    for (let k = 0, i = 0; i < data.length; i += 4, k += channels) {
      data[i] = pixels[k];
      data[i + 1] = pixels[channels === 1 ? k : k + 1];
      data[i + 2] = pixels[channels === 1 ? k : k + 2];
      data[i + 3] = 255;
    }
  });
}

// Where `after` is brighter than `before` in warm, where darker in cool colour; equal is transparent.
export function paintDifference(canvas, before, after, [channels, height, width]) {
  draw(canvas, height, width, (data) => {
    for (let k = 0, i = 0; i < data.length; i += 4, k += channels) {
      let difference = 0;
      for (let c = 0; c < channels; c++) difference += (after[k + c] - before[k + c]) / channels;
      const [r, g, b] = difference > 0 ? [214, 96, 47] : [48, 118, 190];
      data.set([r, g, b, Math.abs(difference)], i);
    }
  });
}

// Gives a canvas a size in pixels, which empties it; one that has it already keeps its memory.
export function resize(canvas, width, height) {
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
}

function draw(canvas, height, width, fill) {
  resize(canvas, width, height);
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  fill(image.data);
  context.putImageData(image, 0, 0);
}
