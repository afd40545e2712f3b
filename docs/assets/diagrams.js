// Draws the page's Mermaid diagrams; the library is loaded only where there is one.
const diagrams = document.querySelectorAll(".diagram");
if (diagrams.length) {
  const script = document.createElement("script");
  script.src = new URL("mermaid.min.js", import.meta.url);
  script.onload = () => {
    const dark = document.body.dataset.mdColorScheme === "slate";
    mermaid.initialize({ startOnLoad: false, theme: dark ? "dark" : "neutral" });
    mermaid.run({ nodes: diagrams });
  };
  document.head.append(script);
}
