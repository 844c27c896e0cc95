// Starts the vendored viewer on this hub's own contract; nothing is validated or fetched elsewhere.
"use strict";

addEventListener("DOMContentLoaded", () => {
  const viewer = document.getElementById("viewer");
  // It brings a main part of its own; a page has one, and this page's is around it.
  new MutationObserver(() => {
    for (const each of viewer.querySelectorAll("main:not([role])")) each.setAttribute("role", "none");
  }).observe(viewer, { childList: true, subtree: true });
  window.SwaggerUIBundle({
    url: viewer.dataset.contract,
    domNode: viewer,
    deepLinking: true,
    validatorUrl: null,
    supportedSubmitMethods: [],
    presets: [window.SwaggerUIBundle.presets.apis],
    layout: "BaseLayout",
  });
});
