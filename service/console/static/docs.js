// Starts the vendored viewer on this hub's own contract; nothing is validated or fetched elsewhere.
"use strict";

addEventListener("DOMContentLoaded", () => {
  const viewer = document.getElementById("viewer");
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
