// One request after the other: the answers appear from the top.
for (const article of document.querySelectorAll("article")) {
  const answer = article.querySelector(".answer");
  const source = article.querySelector(".source span");
  try {
    const response = await fetch(`/v1/queries/${article.dataset.slug}`);
    const body = await response.json();
    answer.textContent = response.ok ? body.query.answer : body.detail;
    answer.classList.toggle("failed", !response.ok);
    if (response.ok) source.textContent = `${body.meta.source}, ${body.meta.timing_ms.total.toFixed(1)} ms`;
  } catch {
    answer.textContent = "The service does not answer.";
    answer.classList.add("failed");
  }
}
