// Errors about intermediate files tell of what they are made of.
#include "merge/temp_files.h"

#include <gtest/gtest.h>

#include "temp_dir.h"

namespace varve::merge {
namespace {

TEST(TempFilesTest, ErrorsDoNotNameThem) {
  const TempDir dir;
  TempFiles temp(dir.File(""), "out.parquet");
  const std::string sorted = temp.Next("the sorted copy of a.parquet").value();
  const std::string merged = temp.Next("the merge of " + sorted + " to b.parquet").value();
  Error error = temp.Explained(MakeError(ErrorKind::kCorrupt, merged + ": has no footer"));
  EXPECT_EQ(error.message, "the merge of the sorted copy of a.parquet to b.parquet: has no footer");
  EXPECT_EQ(error.kind, ErrorKind::kCorrupt);
  error = temp.Explained(MakeError(ErrorKind::kInvalid, "UNSORTED", sorted + ": is not sorted"));
  EXPECT_EQ(error.message, "the sorted copy of a.parquet: is not sorted");
  EXPECT_EQ(error.kind, ErrorKind::kInternal);
  EXPECT_EQ(error.code, "");
}

TEST(TempFilesTest, ErrorsOfOtherFilesStayAsTheyAre) {
  const TempDir dir;
  TempFiles temp(dir.File(""), "out.parquet");
  EXPECT_TRUE(temp.Next("a copy").ok());
  const Error error =
      temp.Explained(MakeError(ErrorKind::kInvalid, "UNSORTED", "0.parquet: is not sorted"));
  EXPECT_EQ(error.message, "0.parquet: is not sorted");
  EXPECT_EQ(error.code, "UNSORTED");
}

}  // namespace
}  // namespace varve::merge
