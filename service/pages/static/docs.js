const target = document.getElementById("api");
SwaggerUIBundle({ url: target.dataset.url, domNode: target, deepLinking: true });
