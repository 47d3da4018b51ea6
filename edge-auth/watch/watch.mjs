// The script of the page for people, /watch/{id}. The page is the same for every video: which one it shows, and with which token,
// is in its own address. The elements are Media Chrome's, see player.html; hls.js plays.
import "media-chrome";
import "media-chrome/menu";
import { Hls } from "hls-video-element";
import layout from "./player.html";

const [, inPath, id] = /^(?:\/t\/([^/]+))?\/watch\/([^/]+)$/.exec(location.pathname);
const token = inPath ?? new URLSearchParams(location.search).get("token");

// A token in the path reaches everything that playlists and storyboards refer to. Without one, there is a cookie.
const folder = `${token ? `/t/${token}` : ""}/videos/${id}`;

document.title = decodeURIComponent(id);
document.body.insertAdjacentHTML("beforeend", layout);
const player = document.querySelector("media-controller");
const video = player.querySelector("hls-video");

const poster = player.querySelector("media-poster-image");
poster.shadowRoot.querySelector("img").addEventListener("error", () => poster.remove()); // sound alone has none
poster.src = `${folder}/poster.jpg`;
player.querySelector("track").src = `${folder}/storyboard/storyboard.vtt`;
// A worker of hls.js would be a script that no server gave, which the page's policy forbids; segments need none.
video.config = { enableWorker: false, capLevelToPlayerSize: true };
video.src = `${folder}/hls/master.m3u8`;

video.addEventListener("error", () => fail());
// When loading starts, the element has made its hls.js; it has none where the browser plays HLS itself.
video.addEventListener("loadstart", () => video.api?.on(Hls.Events.ERROR, refused), { once: true });

// refused ends the loading when hls.js has given up, or when there is no use in its trying again. What has been loaded is played.
function refused(_, { fatal, response }) {
  const status = response?.code;
  if (!fatal && status !== 401 && status !== 403) return;
  video.api.stopLoad();
  if (video.readyState < HTMLMediaElement.HAVE_FUTURE_DATA) fail(status);
  else video.addEventListener("waiting", () => fail(status), { once: true });
}

// fail says what to do when the video cannot go on. status is that of the Worker's answer, if there was one.
function fail(status) {
  const message = player.querySelector("[role=alert]");
  message.textContent = status === 401 || status === 403
    ? "This link has expired. Ask for a new one where you got it."
    : "The video cannot be loaded. Check your connection, then load the page again.";
  message.hidden = false;
}

// The player's keys work as soon as the page is there, before anything in it was clicked.
for (const type of ["keydown", "keyup"]) {
  document.addEventListener(type, (event) => {
    if (event.target === document.body && !player.dispatchEvent(new KeyboardEvent(type, event))) event.preventDefault();
  });
}
