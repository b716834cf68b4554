// Swagger UI over the gateway's own document.
"use strict";

window.SwaggerUIBundle({
  url: "/openapi.json",
  domNode: document.getElementById("viewer"),
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  // Does not outlive the tab's page.
  persistAuthorization: false,
  // Nothing is asked of other hosts.
  validatorUrl: null,
});
