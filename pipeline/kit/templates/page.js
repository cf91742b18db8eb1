"use strict";
(() => {
  const articles = [...document.querySelectorAll("article")];
  const choice = document.getElementById("choice");
  const show = (identity) => {
    for (const article of articles) article.hidden = article.id !== identity;
    choice.value = identity;
  };
  const named = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    return target && target.closest("article");
  };
  const follow = () => {
    const article = named();
    if (!article) return;
    show(article.id);
    document.getElementById(decodeURIComponent(location.hash.slice(1))).scrollIntoView();
  };
  choice.addEventListener("change", () => {
    show(choice.value);
    history.replaceState(null, "", `#${choice.value}`);
  });
  addEventListener("hashchange", follow);
  document.getElementById("all").hidden = true;
  document.getElementById("switcher").hidden = false;
  show(articles[0].id);
  follow();
})();
