// A library that has the name of a driver, and only the oldest functions of one.
int cuInit(unsigned flags) { return (int)flags; }
int cuDriverGetVersion(int *version) { *version = 11040; return 0; }
