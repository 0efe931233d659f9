for (const picture of document.querySelectorAll("svg.stack")) {
  const image = picture.querySelector("image");
  const { before, after, number, of } = image.dataset;
  const listed = (text) => text.split(" ").filter(Boolean);
  const home = listed(before).length;
  const slices = [...listed(before), image.getAttribute("href"), ...listed(after)];
  const place = picture.querySelector(".place");
  let at = home;
  const show = (to) => {
    const next = Math.max(0, Math.min(slices.length - 1, to));
    if (next === at) return;
    at = next;
    image.setAttribute("href", slices[at]);
    picture.classList.toggle("away", at !== home);
    place.textContent = `slice ${Number(number) + at - home} of ${of}`;
  };
  picture.addEventListener("pointermove", (event) => {
    const box = picture.getBoundingClientRect();
    show(Math.floor(((event.clientX - box.left) / box.width) * slices.length));
  });
  for (const left of ["pointerleave", "blur"]) picture.addEventListener(left, () => show(home));
  picture.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    show(at + step);
  });
}
