// Lets a reader copy commands: each `<pre class="copy">` gets a button.

/** Adds the buttons within a part of the page. */
export function offerCopies(part = document) {
  // Only pages of this machine and of https may write to the clipboard.
  if (!navigator.clipboard) return;
  for (const block of part.querySelectorAll("pre.copy")) {
    if (block.parentElement.className === "copy-frame") continue;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "ghost copy-button";
    button.textContent = "Copy";
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(block.textContent);
        button.textContent = "Copied";
      } catch {
        button.textContent = "Not allowed";
      }
      setTimeout(() => (button.textContent = "Copy"), 2000);
    });
    const frame = document.createElement("div");
    frame.className = "copy-frame";
    block.replaceWith(frame);
    frame.append(block, button);
  }
}

offerCopies();
