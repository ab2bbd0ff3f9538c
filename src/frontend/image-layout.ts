/** Where things are in the frontend's own image: the executable finds its files by the way from itself to them. */
export const BUNNY = "/usr/bin/bunny";
export const SHARE = "/usr/share/urunc";
