// Live pages: Server-Sent Events that are only open while the page is seen. A browser opens six
// connections to a server at most, so pages in the background must not hold one.

/**
 * Calls `handlers[kind](data, event)` for each event of `url`, a string or a function that returns one
 * (it is asked again at each connection, so that a page goes on where it was). Data is parsed as JSON.
 * Returns a function that ends it. `onState("live" | "lost")` is told of the connection.
 */
export function live(url, handlers, onState = () => {}) {
  let source = null;
  let ended = false;
  const open = () => {
    if (source || ended || document.visibilityState === "hidden") return;
    source = new EventSource(typeof url === "function" ? url() : url);
    source.onopen = () => onState("live");
    source.onerror = () => {
      onState("lost");
      // The browser tries again by itself unless the server refused; it would ask for the old address.
      if (source && (source.readyState === EventSource.CLOSED || typeof url === "function")) {
        close();
        setTimeout(open, 5000);
      }
    };
    for (const [kind, handler] of Object.entries(handlers)) {
      source.addEventListener(kind, (event) => handler(JSON.parse(event.data), event));
    }
  };
  const close = () => {
    source?.close();
    source = null;
  };
  const seen = () => (document.visibilityState === "hidden" ? close() : open());
  document.addEventListener("visibilitychange", seen);
  addEventListener("pagehide", close);
  open();
  return () => {
    ended = true;
    close();
    document.removeEventListener("visibilitychange", seen);
    removeEventListener("pagehide", close);
  };
}
