#include "app/commands.h"

int main(int argc, char** argv) { return varve::app::RunCommandLine(argc, argv); }
